// The rules for sessions, queues and what the engine sends by itself, and for kinds of correlation.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "config/check/config_check.hpp"
#include "config/iso8583/iso8583_spec_json.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

struct Broken {
  std::function<void(UpstreamSettings&)> change;
  std::string error;  // POINTER within the upstream: message
};

Config good_iso8583() {
  Config config = parsed(good_json());
  CorrelationSettings& correlation = config.upstreams[0].correlation;
  correlation = {.kind = CorrelationKind::iso8583, .mask = {}, .iso8583 = {}};
  correlation.iso8583.spec = "1987_ascii";
  correlation.iso8583.fields =
      std::make_shared<const Iso8583Spec>(parse_iso8583_spec(built_in_iso8583_spec("1987_ascii").value()).value());
  return config;
}

MessageSettings echo() {
  return {.mti = "0800", .fields = {{11, "{trace_number}"}, {41, "TERM0001"}, {70, "301"}}, .expect = {{39, "00"}}};
}

std::string errors_with(const std::function<void(UpstreamSettings&)>& change) {
  Config config = good_iso8583();
  change(config.upstreams[0]);
  return in_words(check(config));
}

const std::vector<Broken> kBroken = {
    // Sessions and queues.
    {[](UpstreamSettings& upstream) { upstream.sessions_max = 1; },
     "/sessions_max: is 1, less than sessions, which is 2; raise it, or give 0 for no more than these"},
    {[](UpstreamSettings& upstream) { upstream.queue_max_of_group = 4097; },
     "/queue_max_of_group: is 4097, more than queue_max, which is 4096; lower it, or give 0 for no limit of its own"},
    {[](UpstreamSettings& upstream) { upstream.queue_max_of_client = 4097; },
     "/queue_max_of_client: is 4097, more than queue_max, which is 4096; lower it, or give 0 for no limit of its own"},
    {[](UpstreamSettings& upstream) {
       upstream.queue_max_of_group = 10;
       upstream.queue_max_of_client = 11;
     },
     "/queue_max_of_client: is 11, more than queue_max_of_group, which is 10; lower it, or give 0 for no limit of its "
     "own"},
    {[](UpstreamSettings& upstream) { upstream.subscriber_group = "POSS"; },
     "/subscriber_group: \"POSS\" is none of the groups that may use this upstream; did you mean \"POS\"?"},
    // Sign-on and sign-off.
    {[](UpstreamSettings& upstream) { upstream.sign_on.scope = SignOnScope::upstream; },
     "/sign_on/scope: means nothing without messages; give some, or remove it"},
    {[](UpstreamSettings& upstream) { upstream.sign_off.messages = {echo()}; },
     "/sign_off/messages: nothing signs on, so nothing is to be signed off; give sign_on messages, or remove these"},
    // Heartbeats.
    {[](UpstreamSettings& upstream) { upstream.heartbeat.idle_ms = 1000; },
     "/heartbeat/message: is missing: there is nothing to send after idle_ms; give a message, set keep_alive to true "
     "for a frame of length zero, or set idle_ms to 0 for no heartbeat"},
    {[](UpstreamSettings& upstream) { upstream.heartbeat.interval_min_ms = 1000; },
     "/heartbeat/interval_min_ms: means nothing while idle_ms is 0, which means no heartbeat; give idle_ms"},
    {[](UpstreamSettings& upstream) { upstream.heartbeat.keep_alive = true; },
     "/heartbeat/keep_alive: means nothing while idle_ms is 0, which means no heartbeat; give idle_ms"},
    {[](UpstreamSettings& upstream) { upstream.heartbeat.message = echo(); },
     "/heartbeat/message: means nothing while idle_ms is 0, which means no heartbeat; give idle_ms"},
    {[](UpstreamSettings& upstream) {
       upstream.heartbeat.idle_ms = 1000;
       upstream.heartbeat.message = echo();
       upstream.heartbeat.keep_alive = true;
     },
     "/heartbeat/keep_alive: there is a message as well; a heartbeat is one of the two, so remove one"},
    {[](UpstreamSettings& upstream) {
       upstream.heartbeat.idle_ms = 1000;
       upstream.heartbeat.keep_alive = true;
       upstream.timeouts.silence_ms = 10'000;
     },
     "/timeouts/silence_ms: is 10000, but a heartbeat's answer may take 10000 (/upstreams/0/heartbeat/answer_ms), so "
     "that misses_max would never be reached; raise it, or lower answer_ms"},
    // Trace numbers.
    {[](UpstreamSettings& upstream) { upstream.trace_numbers = {.first = 8, .last = 7}; },
     "/trace_numbers/first: is 8, more than last, which is 7"},
    {[](UpstreamSettings& upstream) { upstream.trace_numbers = {.first = 1, .last = 1023, .block = 64}; },
     "/trace_numbers/block: is 64, but first to last are 1023 numbers, which must be 16 blocks at least; lower it to "
     "63, or widen the range"},
    {[](UpstreamSettings& upstream) { upstream.trace_numbers = {.first = 1, .last = 15, .block = 1}; },
     "/trace_numbers/block: is 1, but first to last are 15 numbers, which must be 16 blocks at least; widen the range "
     "to 16 or more"},
    // Correlation.
    {[](UpstreamSettings& upstream) { upstream.correlation.length = 4; },
     "/correlation/length: means nothing where kind is \"iso8583\"; remove it, or set kind to \"bytes\""},
    {[](UpstreamSettings& upstream) { upstream.correlation.kind = CorrelationKind::fifo; },
     "/correlation/iso8583: means nothing where kind is \"fifo\"; remove it, or set kind to \"iso8583\""},
    // Single values that no reader has seen.
    {[](UpstreamSettings& upstream) { upstream.tcp.source_address = "localhost"; },
     "/tcp/source_address: must be an IPv4 or IPv6 address, is \"localhost\""},
    {[](UpstreamSettings& upstream) { upstream.framing.length_adjust = -1'025; },
     "/framing/length_adjust: must be between -1024 and 1024, is -1025"},
    {[](UpstreamSettings& upstream) { upstream.correlation.iso8583.key_fields = {11, 193}; },
     "/correlation/iso8583/key_fields/1: must be between 2 and 192, is 193"},
    {[](UpstreamSettings& upstream) { upstream.correlation.iso8583.response_functions = "11"; },
     "/correlation/iso8583/response_functions: must be one to ten different digits, is \"11\""},
    {[](UpstreamSettings& upstream) {
       upstream.sign_on.messages = {echo()};
       upstream.sign_on.messages[0].fields[70] = "\t";
     },
     "/sign_on/messages/0/fields/70: must be printable ASCII, is \"\\u0009\"; bytes of binary fields are written as "
     "hexadecimal digits"},
};

TEST_CASE("config.each broken rule of session life has one error at its pointer") {
  CHECK(errors_with([](UpstreamSettings&) {}) == "");
  for (const Broken& broken : kBroken) {
    CAPTURE(broken.error);
    CHECK(errors_with(broken.change) == "FILE: /upstreams/0" + broken.error + "\n");
  }
}

TEST_CASE("config.session life at the edge of its rules is good") {
  const std::vector<std::function<void(UpstreamSettings&)>> changes = {
      [](UpstreamSettings& upstream) { upstream.sessions_max = 2; },
      [](UpstreamSettings& upstream) {
        upstream.queue_max_of_group = 4096;
        upstream.queue_max_of_client = 4096;
      },
      [](UpstreamSettings& upstream) { upstream.subscriber_group = "POS"; },
      [](UpstreamSettings& upstream) {
        upstream.sign_on = {.scope = SignOnScope::upstream, .messages = {echo()}};
        upstream.sign_off.messages = {echo()};
      },
      [](UpstreamSettings& upstream) {
        upstream.heartbeat.idle_ms = 1000;
        upstream.heartbeat.message = echo();
        upstream.timeouts.silence_ms = 10'001;
      },
      [](UpstreamSettings& upstream) { upstream.trace_numbers = {.first = 1, .last = 1024, .block = 64}; },
  };
  for (const auto& change : changes) CHECK(errors_with(change) == "");
}

}  // namespace
}  // namespace tlsmux::config::test
