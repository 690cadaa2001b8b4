// What most tests of the client begin with. The C functions are used as an application would.
#pragma once

#include <doctest/doctest.h>
#include <tlsmux/tlsmux.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/fake_engine.hpp"

namespace tlsmux::test {

// Longer than anything takes, so that a hang is a failure and not a hang.
inline constexpr std::uint32_t kLongMs = 20'000;

inline tmx_attach_options attach_options(const FakeEngineOptions& engine) {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = engine.group.c_str();
  options.control_socket = engine.control_socket.c_str();
  options.timeout_ms = kLongMs;
  return options;
}

// An attached client with one channel to HOST.
struct AttachedClient {
  explicit AttachedClient(const FakeEngineOptions& engine, std::uint32_t flags = 0) {
    auto options = attach_options(engine);
    options.flags = flags;
    REQUIRE(tmx_attach(&options, &client) == 0);
    REQUIRE(tmx_channel_open(client, "HOST", &channel) == 0);
  }
  AttachedClient(const AttachedClient&) = delete;
  AttachedClient& operator=(const AttachedClient&) = delete;
  ~AttachedClient() {
    tmx_channel_discard(channel);
    CHECK(tmx_detach(client) == 0);
  }

  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
};

// Reserves, writes and submits. Returns what tmx_reserve or tmx_submit said.
inline int send(tmx_channel* channel, std::string_view request, std::uint64_t tag, std::uint32_t timeout_ms = 0) {
  tmx_buffer buffer;
  if (const int error = tmx_reserve(channel, &buffer); error != 0) return error;
  REQUIRE(request.size() <= buffer.capacity);
  std::memcpy(buffer.data, request.data(), request.size());
  return tmx_submit(channel, &buffer, static_cast<std::uint32_t>(request.size()), tag, timeout_ms);
}

// The next completion; fails the test if none comes.
inline tmx_completion next(tmx_channel* channel) {
  tmx_completion completion{};
  REQUIRE(tmx_poll(channel, &completion, 1, kLongMs) == 1);
  return completion;
}

inline std::string text_of(const tmx_completion& completion) {
  return {static_cast<const char*>(completion.data), completion.length};
}

// Expects this outcome next, and gives its memory back.
inline void expect(tmx_channel* channel, std::uint64_t tag, tmx_outcome outcome, tmx_reason reason) {
  const auto completion = next(channel);
  CHECK(completion.tag == tag);
  CHECK(completion.outcome == outcome);
  CHECK(completion.reason == reason);
  CHECK((completion.data != nullptr) == (outcome == TMX_ANSWERED));
  CHECK(tmx_release(channel, &completion) == 0);
}

inline void expect_nothing(tmx_channel* channel) {
  tmx_completion completion{};
  CHECK(tmx_poll(channel, &completion, 1, 0) == 0);
}

// As often as it takes, while an engine is being looked for or slots are being returned.
inline void send_when_possible(tmx_channel* channel, std::string_view request, std::uint64_t tag,
                               std::uint32_t timeout_ms = 0) {
  int error = 0;
  do {
    error = send(channel, request, tag, timeout_ms);
    std::this_thread::yield();
  } while (error == -EAGAIN || error == -ENOTCONN);
  REQUIRE(error == 0);
}

inline std::string last_error(tmx_client* client) {
  std::array<char, 256> text{};
  CHECK(tmx_client_last_error(client, text.data(), text.size()) >= 0);
  return text.data();
}

// Waits for what another thread or process is about to do.
template <typename Condition>
void wait_until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLongMs);
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::yield();
  }
}

}  // namespace tlsmux::test
