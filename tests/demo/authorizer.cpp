#include "tests/demo/authorizer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/demo/process_memory.hpp"
#include "tests/demo/purchase.hpp"

namespace tlsmux::demo {
namespace {

constexpr std::uint32_t kInFlightMax = 12;
constexpr std::uint32_t kRequestTimeoutMs = 5'000;
constexpr std::uint32_t kTryAgainMs = 10;
constexpr std::uint32_t kIdleMs = 1'000;
constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + tmx_error_text(error));
}

// Not errors: the engine is busy or being replaced, and the request was not submitted.
bool means_try_again(int error) { return error == -EAGAIN || error == -ENOTCONN || error == -ESTALE; }

Fate fate_of(tmx_outcome outcome) {
  switch (outcome) {
    case TMX_ANSWERED: return Fate::answered;
    case TMX_NOT_SENT: return Fate::not_sent;
    case TMX_MAYBE_SENT: return Fate::maybe_sent;
    default: throw std::runtime_error("an outcome that does not exist");
  }
}

}  // namespace

Authorizer::Authorizer(AuthorizerOrder order) : order_(std::move(order)), ledger_(Ledger::open(order_.ledger_file)) {
  ledger_.header().anonymous_kb_before = anonymous_kb();
  std::array<char, 256> words{};
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = order_.group.c_str();
  options.control_socket = order_.control_socket.c_str();
  options.error_text = words.data();
  options.error_text_bytes = words.size();
  tmx_client* client = nullptr;
  if (tmx_attach(&options, &client) != 0) throw std::runtime_error("cannot attach: " + std::string(words.data()));
  client_.reset(client);
  tmx_channel* channel = nullptr;
  if (const int error = tmx_channel_open(client, order_.upstream.c_str(), &channel); error != 0) {
    fail("cannot open a channel to " + order_.upstream, error);
  }
  channel_.reset(channel);
  ledger_.header().attached = 1;
}

void Authorizer::run() {
  start_ns_ = now_ns();
  while (next_ < order_.requests || in_flight_ > 0) {
    submit_due(now_ns());
    take_outcomes(timeout_ms(now_ns()));
  }
  ledger_.header().anonymous_kb_after = anonymous_kb();
}

// The authorizers take turns, so that their requests do not come all at one time.
std::int64_t Authorizer::due_ns(std::uint32_t request) const {
  const double turn = static_cast<double>(order_.authorizer) / kAuthorizers;
  const double share = (request + turn) / order_.requests;
  return start_ns_ + static_cast<std::int64_t>(share * order_.seconds * 1e9);
}

std::uint32_t Authorizer::timeout_ms(std::int64_t now) const {
  if (refused_) return kTryAgainMs;
  if (next_ == order_.requests || in_flight_ == kInFlightMax) return kIdleMs;
  const auto left_ms = (due_ns(next_) - now + kNanosecondsPerMillisecond - 1) / kNanosecondsPerMillisecond;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left_ms, 0, kIdleMs));
}

void Authorizer::submit_due(std::int64_t now) {
  refused_ = false;
  while (!refused_ && next_ < order_.requests && in_flight_ < kInFlightMax && due_ns(next_) <= now) {
    refused_ = !submit_next(now);
  }
}

// False: not now. The request is in the ledger before it can have any effect.
bool Authorizer::submit_next(std::int64_t now) {
  tmx_buffer buffer{};
  if (const int error = tmx_reserve(channel_.get(), &buffer); error != 0) {
    if (means_try_again(error)) return false;
    fail("cannot reserve a buffer", error);
  }
  const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto message = build_request({order_.authorizer, next_}, time);
  if (message.size() > buffer.capacity) throw std::runtime_error("the buffers are too small");
  std::memcpy(buffer.data, message.data(), message.size());

  ledger_.begin(next_, now);
  const auto length = static_cast<std::uint32_t>(message.size());
  if (const int error = tmx_submit(channel_.get(), &buffer, length, next_, kRequestTimeoutMs); error != 0) {
    ledger_.take_back(next_);
    tmx_abandon(channel_.get(), &buffer);
    if (means_try_again(error)) return false;
    fail("cannot submit a request", error);
  }
  ++next_;
  ++in_flight_;
  return true;
}

void Authorizer::take_outcomes(std::uint32_t timeout) {
  std::array<tmx_completion, kInFlightMax> completions;
  const int count = tmx_poll(channel_.get(), completions.data(), completions.size(), timeout);
  if (count < 0) fail("cannot poll", count);
  const auto now = now_ns();
  for (int i = 0; i < count; ++i) take(completions[static_cast<std::size_t>(i)], now);
}

void Authorizer::take(const tmx_completion& completion, std::int64_t now) {
  if (completion.tag >= next_) throw std::runtime_error("an outcome of a request that was never submitted");
  const auto request = static_cast<std::uint32_t>(completion.tag);
  if (completion.outcome == TMX_ANSWERED) {
    const std::string_view answer(static_cast<const char*>(completion.data), completion.length);
    const auto wrong = what_is_wrong_with(answer, {order_.authorizer, request});
    if (!wrong.empty()) throw std::runtime_error("the answer to request " + std::to_string(request) + ": " + wrong);
    tmx_release(channel_.get(), &completion);
  }
  ledger_.end(request, fate_of(completion.outcome), static_cast<std::uint16_t>(completion.reason), now);
  if (in_flight_ == 0) throw std::runtime_error("more outcomes than requests");
  --in_flight_;
}

}  // namespace tlsmux::demo
