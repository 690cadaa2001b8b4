// A channel that has subscribed to everything, at a fake engine.
#pragma once

#include "tests/client/client_fixture.hpp"

namespace tlsmux::test {

inline constexpr std::uint32_t kAllFlags =
    TMX_LATE_ANSWERS | TMX_SUBSCRIBE_LATE | TMX_SUBSCRIBE_UNSOLICITED | TMX_SUBSCRIBE_ORPHANS;

inline tmx_channel_options channel_options(std::uint32_t flags, std::uint32_t notices) {
  tmx_channel_options options{};
  options.struct_bytes = sizeof options;
  options.flags = flags;
  options.notices = notices;
  return options;
}

// An attached client with one subscribed channel to HOST.
struct Subscriber {
  explicit Subscriber(const FakeEngineOptions& engine, std::uint32_t notices = 2, std::uint32_t flags = kAllFlags,
                      std::uint32_t attach_flags = 0) {
    auto options = attach_options(engine);
    options.flags = attach_flags;
    REQUIRE(tmx_attach(&options, &client) == 0);
    const auto wanted = channel_options(flags, notices);
    REQUIRE(tmx_channel_open_with(client, "HOST", &wanted, &channel) == 0);
  }
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  ~Subscriber() {
    tmx_channel_discard(channel);
    CHECK(tmx_detach(client) == 0);
  }

  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
};

// Has the fake engine make a notice; the request's own answer is taken and given back.
inline tmx_completion notice_after(tmx_channel* channel, std::string_view script, std::uint64_t tag) {
  send_when_possible(channel, script, tag);
  tmx_completion notice{};
  bool answered = false;
  while (!answered || notice.kind == TMX_OUTCOME) {
    const auto completion = next(channel);
    if (completion.kind != TMX_OUTCOME) {
      notice = completion;
      continue;
    }
    CHECK(completion.tag == tag);
    CHECK(completion.outcome == TMX_ANSWERED);
    CHECK(tmx_release(channel, &completion) == 0);
    answered = true;
  }
  return notice;
}

inline std::string request_of(const tmx_completion& completion) {
  return {static_cast<const char*>(completion.request), completion.request_length};
}

inline int reply(tmx_channel* channel, const tmx_completion& notice, std::string_view text, std::uint64_t tag) {
  tmx_buffer buffer;
  REQUIRE(tmx_reserve(channel, &buffer) == 0);
  std::memcpy(buffer.data, text.data(), text.size());
  const int error = tmx_reply(channel, &notice, &buffer, static_cast<std::uint32_t>(text.size()), tag);
  if (error != 0) CHECK(tmx_abandon(channel, &buffer) == 0);
  return error;
}

}  // namespace tlsmux::test
