#include "tests/acquirer/subscriber.hpp"

#include <array>
#include <cstring>
#include <exception>

#include <doctest/doctest.h>

#include "tests/acquirer/terminal.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/requester.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kNotices = 24;
constexpr std::uint32_t kLookMs = 50;  // whether it is over

std::string text_of(const void* data, std::uint32_t length) { return {static_cast<const char*>(data), length}; }

}  // namespace

std::uint64_t TakenNotices::orphans_with(const std::string& outcome) const {
  const auto found = orphan_outcomes.find(outcome);
  return found == orphan_outcomes.end() ? 0 : found->second;
}

std::uint64_t TakenNotices::late_in_all() const {
  std::uint64_t count = 0;
  for (const auto& [trace, times] : late) count += times;
  return count;
}

Subscriber::Subscriber(const config::Config& config, std::size_t group, std::uint32_t flags, std::uint64_t reply_every)
    : reply_every_(reply_every) {
  auto options = attach_options(config);
  options.group = config.groups[group].name.c_str();
  REQUIRE(tmx_attach(&options, &client_) == 0);
  tmx_channel_options channel_options{};
  channel_options.struct_bytes = sizeof channel_options;
  channel_options.flags = flags;
  channel_options.notices = kNotices;
  REQUIRE(tmx_channel_open_with(client_, "acquirer", &channel_options, &channel_) == 0);
  thread_ = std::thread([this] { run(); });
}

Subscriber::~Subscriber() {
  is_over_ = true;
  thread_.join();
  CHECK(tmx_channel_close(channel_) == 0);
  CHECK(tmx_detach(client_) == 0);
}

TakenNotices Subscriber::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

void Subscriber::run() {
  while (!is_over_) {
    std::array<tmx_completion, 16> completions;
    const int count = tmx_poll(channel_, completions.data(), completions.size(), kLookMs);
    const std::lock_guard lock(mutex_);
    if (count < 0) return say_trouble("poll");
    for (int i = 0; i < count; ++i) {
      const auto& completion = completions[static_cast<std::size_t>(i)];
      try {
        take(completion);
      } catch (const std::exception& error) {
        say_trouble(error.what());
      }
      if (tmx_release(channel_, &completion) != 0) say_trouble("release");
    }
  }
}

void Subscriber::take(const tmx_completion& completion) {
  switch (completion.kind) {
    case TMX_OUTCOME:
      if (completion.outcome != TMX_MAYBE_SENT || completion.reason != TMX_REASON_REPLY_SENT) say_trouble("a reply");
      ++taken_.replies_sent;
      return;
    case TMX_LATE: {
      const auto trace = static_cast<std::uint32_t>(completion.tag);
      ++taken_.late[trace];
      if (!is_answer_to(text_of(completion.data, completion.length), trace)) say_trouble("a late answer to another");
      if (completion.request == nullptr) return;
      ++taken_.late_of_dead;
      const bool is_its_own = text_of(completion.request, completion.request_length) == host::request(trace);
      if (!is_its_own) say_trouble("a late answer with another request");
      return;
    }
    case TMX_ORPHAN: return take_orphan(completion);
    case TMX_UNSOLICITED: return take_unsolicited(completion);
    default: say_trouble("a notice of no kind");
  }
}

void Subscriber::take_orphan(const tmx_completion& completion) {
  const auto trace = static_cast<std::uint32_t>(completion.tag);
  if (!taken_.orphans.insert(trace).second) say_trouble("an orphan twice");
  if (text_of(completion.request, completion.request_length) != host::request(trace)) say_trouble("another's bytes");
  const auto outcome = std::string(tmx_outcome_name(completion.outcome)) + " " + tmx_reason_name(completion.reason);
  ++taken_.orphan_outcomes[outcome];
  const bool has_answer = completion.length > 0;
  if (has_answer != (completion.outcome == TMX_ANSWERED)) say_trouble("an orphan's outcome and answer");
  if (has_answer && !is_answer_to(text_of(completion.data, completion.length), trace)) say_trouble("another's answer");
}

void Subscriber::take_unsolicited(const tmx_completion& completion) {
  const auto message = text_of(completion.data, completion.length);
  const auto type = host::field(message, 0);
  if (type == "0110") {
    ++taken_.stray_answers;
  } else if (type == "0800") {
    ++taken_.host_requests;
    if (reply_every_ > 0 && taken_.host_requests % reply_every_ == 0) reply(completion, message);
  } else {
    say_trouble("an unsolicited " + type);
  }
}

void Subscriber::reply(const tmx_completion& notice, const std::string& request) {
  const auto answer = host::answer_to(request);
  tmx_buffer buffer{};
  if (tmx_reserve(channel_, &buffer) != 0) return say_trouble("no room for a reply");
  std::memcpy(buffer.data, answer.data(), answer.size());
  if (tmx_reply(channel_, &notice, &buffer, static_cast<std::uint32_t>(answer.size()), 0) != 0) {
    return say_trouble("tmx_reply");
  }
  ++taken_.replies;
}

void Subscriber::say_trouble(const std::string& what) {
  if (taken_.trouble.empty()) taken_.trouble = what;
}

}  // namespace tlsmux::test
