#include "config/check/check_session_life.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

std::string nested(const std::string& pointer, std::string_view object, std::string_view key) {
  return pointer_to(pointer_to(pointer, object), key);
}

void check_sessions(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  if (upstream.sessions_max == 0 || upstream.sessions_max >= upstream.sessions) return;
  findings.add(pointer_to(pointer, "sessions_max"),
               "is " + std::to_string(upstream.sessions_max) + ", less than sessions, which is " +
                   std::to_string(upstream.sessions) + "; raise it, or give 0 for no more than these",
               {pointer_to(pointer, "sessions")});
}

void check_queue(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const auto must_not_exceed = [&](std::string_view key, std::uint32_t value, std::string_view whole_key,
                                   std::uint32_t whole) {
    if (whole == 0 || value <= whole) return;
    findings.add(pointer_to(pointer, key),
                 "is " + std::to_string(value) + ", more than " + std::string(whole_key) + ", which is " +
                     std::to_string(whole) + "; lower it, or give 0 for no limit of its own",
                 {pointer_to(pointer, whole_key)});
  };
  must_not_exceed("queue_max_of_group", upstream.queue_max_of_group, "queue_max", upstream.queue_max);
  const bool of_group = upstream.queue_max_of_group != 0 && upstream.queue_max_of_group <= upstream.queue_max;
  must_not_exceed("queue_max_of_client", upstream.queue_max_of_client, of_group ? "queue_max_of_group" : "queue_max",
                  of_group ? upstream.queue_max_of_group : upstream.queue_max);
}

void check_subscriber_group(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string& name = upstream.subscriber_group;
  if (name.empty() || upstream.groups.empty() || std::ranges::count(upstream.groups, name) > 0) return;
  const std::vector<std::string_view> names(upstream.groups.begin(), upstream.groups.end());
  findings.add(pointer_to(pointer, "subscriber_group"),
               in_quotes(name) + " is none of the groups that may use this upstream; " + suggestion(name, names),
               {pointer_to(pointer, "groups")});
}

void check_sign_on(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string sign_on_messages = nested(pointer, "sign_on", "messages");
  if (upstream.sign_on.scope == SignOnScope::upstream && upstream.sign_on.messages.empty()) {
    findings.add(nested(pointer, "sign_on", "scope"), "means nothing without messages; give some, or remove it",
                 {sign_on_messages});
  }
  if (upstream.sign_on.messages.empty() && !upstream.sign_off.messages.empty()) {
    findings.add(nested(pointer, "sign_off", "messages"),
                 "nothing signs on, so nothing is to be signed off; give sign_on messages, or remove these",
                 {sign_on_messages});
  }
}

bool is_given(const MessageSettings& message) {
  return !(message.mti.empty() && message.fields.empty() && message.expect.empty());
}

// What is said of heartbeats while there are none.
void check_no_heartbeat(const HeartbeatSettings& heartbeat, const std::string& place, Findings& findings) {
  const std::string idle_ms = pointer_to(place, "idle_ms");
  const auto means_nothing = [&](std::string_view key) {
    findings.add(pointer_to(place, key), "means nothing while idle_ms is 0, which means no heartbeat; give idle_ms",
                 {idle_ms});
  };
  if (heartbeat.interval_min_ms != 0) means_nothing("interval_min_ms");
  if (heartbeat.keep_alive) means_nothing("keep_alive");
  if (is_given(heartbeat.message)) means_nothing("message");
}

void check_heartbeat(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const HeartbeatSettings& heartbeat = upstream.heartbeat;
  const std::string place = pointer_to(pointer, "heartbeat");
  const std::string keep_alive = pointer_to(place, "keep_alive");
  const std::string message = pointer_to(place, "message");
  const bool has_message = is_given(heartbeat.message);
  if (heartbeat.idle_ms == 0) return check_no_heartbeat(heartbeat, place, findings);
  if (has_message && heartbeat.keep_alive) {
    findings.add(keep_alive, "there is a message as well; a heartbeat is one of the two, so remove one", {message});
  } else if (!has_message && !heartbeat.keep_alive) {
    findings.add(message,
                 "is missing: there is nothing to send after idle_ms; give a message, set keep_alive to true for a "
                 "frame of length zero, or set idle_ms to 0 for no heartbeat",
                 {keep_alive});
  }
  const std::uint32_t silence_ms = upstream.timeouts.silence_ms;
  if (silence_ms != 0 && silence_ms <= heartbeat.answer_ms) {
    findings.add(nested(pointer, "timeouts", "silence_ms"),
                 "is " + std::to_string(silence_ms) + ", but a heartbeat's answer may take " +
                     std::to_string(heartbeat.answer_ms) + " (" + pointer_to(place, "answer_ms") +
                     "), so that misses_max would never be reached; raise it, or lower answer_ms",
                 {pointer_to(place, "answer_ms")});
  }
}

void check_trace_numbers(const TraceNumberSettings& numbers, const std::string& pointer, Findings& findings) {
  const std::string first = pointer_to(pointer, "first");
  const std::string last = pointer_to(pointer, "last");
  if (numbers.first > numbers.last) {
    findings.add(first,
                 "is " + std::to_string(numbers.first) + ", more than last, which is " + std::to_string(numbers.last),
                 {last});
    return;
  }
  const std::uint64_t count = std::uint64_t{numbers.last} - numbers.first + 1;
  const std::uint64_t block_max = count / kTraceNumberBlocksMin;
  if (numbers.block <= block_max) return;
  const std::string advice = block_max == 0 ? "widen the range to " + std::to_string(kTraceNumberBlocksMin) + " or more"
                                            : "lower it to " + std::to_string(block_max) + ", or widen the range";
  findings.add(pointer_to(pointer, "block"),
               "is " + std::to_string(numbers.block) + ", but first to last are " + std::to_string(count) +
                   " numbers, which must be " + std::to_string(kTraceNumberBlocksMin) + " blocks at least; " + advice,
               {first, last});
}

void check_backoff(const BackoffSettings& backoff, const std::string& pointer, Findings& findings) {
  if (backoff.initial_ms <= backoff.max_ms) return;
  findings.add(pointer_to(pointer, "initial_ms"),
               "must not be more than max_ms, which is " + std::to_string(backoff.max_ms) + ", is " +
                   std::to_string(backoff.initial_ms),
               {pointer_to(pointer, "max_ms")});
}

}  // namespace

void check_session_life(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  check_sessions(upstream, pointer, findings);
  check_backoff(upstream.backoff, pointer_to(pointer, "backoff"), findings);
}

void check_requests(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  check_queue(upstream, pointer, findings);
  check_subscriber_group(upstream, pointer, findings);
  check_sign_on(upstream, pointer, findings);
  check_heartbeat(upstream, pointer, findings);
  check_trace_numbers(upstream.trace_numbers, pointer_to(pointer, "trace_numbers"), findings);
}

}  // namespace tlsmux::config
