#include "tests/system/requester.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include <doctest/doctest.h>

#include "tests/system/await.hpp"

namespace tlsmux::test {

Requester::Requester(const config::Config& config, const std::string& group, const std::string& upstream) {
  auto options = attach_options(config);
  if (!group.empty()) options.group = group.c_str();
  REQUIRE(tmx_attach(&options, &client_) == 0);
  const auto& name = upstream.empty() ? config.upstreams[0].name : upstream;
  REQUIRE(tmx_channel_open(client_, name.c_str(), &channel_) == 0);
}

Requester::~Requester() {
  tmx_channel_discard(channel_);
  tmx_detach(client_);
}

int Requester::submit(std::string_view message, std::uint64_t tag, std::uint32_t timeout_ms) {
  tmx_buffer buffer{};
  if (const int error = tmx_reserve(channel_, &buffer); error != 0) return error;
  std::memcpy(buffer.data, message.data(), std::min<std::size_t>(message.size(), buffer.capacity));
  const int error = tmx_submit(channel_, &buffer, static_cast<std::uint32_t>(message.size()), tag, timeout_ms);
  if (error != 0) REQUIRE(tmx_abandon(channel_, &buffer) == 0);
  return error;
}

void Requester::submit_surely(std::string_view message, std::uint64_t tag, std::uint32_t timeout_ms) {
  await([&] {
    const int error = submit(message, tag, timeout_ms);
    const bool passing = error == -EAGAIN || error == -ENOTCONN || error == -ESTALE;
    REQUIRE((error == 0 || passing));
    return error == 0;
  });
}

std::vector<Ended> Requester::take(std::size_t count) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::vector<Ended> all;
  while (all.size() < count) {
    tmx_completion completion{};
    const int taken = tmx_poll(channel_, &completion, 1, 1000);
    REQUIRE(taken >= 0);
    if (taken == 0) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < until, all.size(), " outcomes of ", count);
      continue;
    }
    Ended ended{.tag = completion.tag, .outcome = completion.outcome, .reason = completion.reason, .answer = {}};
    if (completion.data != nullptr) ended.answer.assign(static_cast<const char*>(completion.data), completion.length);
    REQUIRE(tmx_release(channel_, &completion) == 0);
    all.push_back(std::move(ended));
  }
  return all;
}

std::vector<Ended> Requester::take_present() {
  std::vector<Ended> all;
  tmx_completion completion{};
  while (tmx_poll(channel_, &completion, 1, 0) == 1) {
    all.push_back({.tag = completion.tag, .outcome = completion.outcome, .reason = completion.reason, .answer = {}});
    REQUIRE(tmx_release(channel_, &completion) == 0);
  }
  return all;
}

Ended Requester::ask(std::string_view message, std::uint32_t timeout_ms) {
  std::string answer(message.size() + 1, '\0');
  tmx_result result{};
  REQUIRE(tmx_call(channel_, message.data(), static_cast<std::uint32_t>(message.size()), answer.data(),
                   static_cast<std::uint32_t>(answer.size()), timeout_ms, &result) == 0);
  answer.resize(std::min<std::size_t>(result.length, answer.size()));
  return {.tag = 0, .outcome = result.outcome, .reason = result.reason, .answer = std::move(answer)};
}

std::string Requester::upstream_error() {
  std::array<char, 256> text{};
  const int length = tmx_upstream_last_error(channel_, text.data(), text.size());
  return length > 0 ? text.data() : "";
}

tmx_attach_options attach_options(const config::Config& config) {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = config.groups[0].name.c_str();
  options.control_socket = config.engine.control_socket.c_str();
  options.timeout_ms = 20'000;
  return options;
}

std::string keyed_message(std::uint64_t number, std::size_t bytes) {
  std::array<char, 17> key{};
  std::snprintf(key.data(), key.size(), "%016llu", static_cast<unsigned long long>(number));
  std::string message(key.data(), 16);
  while (message.size() < bytes) message.push_back(static_cast<char>('a' + (message.size() + number) % 26));
  return message;
}

}  // namespace tlsmux::test
