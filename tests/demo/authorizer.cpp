#include "tests/demo/authorizer.hpp"

#include <algorithm>
#include <array>
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
constexpr std::chrono::milliseconds kRequestTimeout{5'000};
constexpr std::chrono::milliseconds kTryAgain{10};
constexpr std::chrono::milliseconds kIdle{1'000};

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

[[noreturn]] void fail(const std::string& what, Error error) { throw std::runtime_error(what + ": " + error.text()); }

Fate fate_of(tmx_outcome outcome) {
  switch (outcome) {
    case TMX_ANSWERED: return Fate::answered;
    case TMX_NOT_SENT: return Fate::not_sent;
    case TMX_MAYBE_SENT: return Fate::maybe_sent;
    default: throw std::runtime_error("an outcome that does not exist");
  }
}

Client attach(const AuthorizerOrder& order, LedgerHeader& header) {
  header.anonymous_kb_before = anonymous_kb();
  std::array<char, 256> words{};
  tmx_attach_options options{};
  options.group = order.group.c_str();
  options.control_socket = order.control_socket.c_str();
  options.error_text = words.data();
  options.error_text_bytes = words.size();
  auto client = Client::attach(options);
  if (!client) throw std::runtime_error("cannot attach: " + std::string(words.data()));
  return std::move(*client);
}

Channel open_channel(Client& client, const std::string& upstream) {
  auto channel = client.open(upstream.c_str());
  if (!channel) fail("cannot open a channel to " + upstream, channel.error());
  return std::move(*channel);
}

}  // namespace

Authorizer::Authorizer(AuthorizerOrder order)
    : order_(std::move(order)),
      ledger_(Ledger::open(order_.ledger_file)),
      client_(attach(order_, ledger_.header())),
      channel_(open_channel(client_, order_.upstream)) {
  ledger_.header().attached = 1;
}

void Authorizer::run() {
  start_ns_ = now_ns();
  while (next_ < order_.requests || in_flight_ > 0) {
    submit_due(now_ns());
    take_outcomes(time_to_wait(now_ns()));
  }
  ledger_.header().anonymous_kb_after = anonymous_kb();
}

// The authorizers take turns, so that their requests do not come all at one time.
std::int64_t Authorizer::due_ns(std::uint32_t request) const {
  const double turn = static_cast<double>(order_.authorizer) / kAuthorizers;
  const double share = (request + turn) / order_.requests;
  return start_ns_ + static_cast<std::int64_t>(share * order_.seconds * 1e9);
}

std::chrono::milliseconds Authorizer::time_to_wait(std::int64_t now) const {
  if (refused_) return kTryAgain;
  if (next_ == order_.requests || in_flight_ == kInFlightMax) return kIdle;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(due_ns(next_) - now));
  return std::clamp(left, std::chrono::milliseconds(0), kIdle);
}

void Authorizer::submit_due(std::int64_t now) {
  refused_ = false;
  while (!refused_ && next_ < order_.requests && in_flight_ < kInFlightMax && due_ns(next_) <= now) {
    refused_ = !submit_next(now);
  }
}

// False: not now. The request is in the ledger before it can have any effect.
bool Authorizer::submit_next(std::int64_t now) {
  auto buffer = channel_.reserve();
  if (!buffer) {
    if (buffer.error().is_passing()) return false;
    fail("cannot reserve a buffer", buffer.error());
  }
  const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto message = build_request({order_.authorizer, next_}, time);
  if (message.size() > buffer->bytes().size()) throw std::runtime_error("the buffers are too small");
  std::memcpy(buffer->bytes().data(), message.data(), message.size());

  ledger_.begin(next_, now);
  if (const auto submitted = channel_.submit(*buffer, message.size(), next_, kRequestTimeout); !submitted) {
    ledger_.take_back(next_);
    if (submitted.error().is_passing()) return false;
    fail("cannot submit a request", submitted.error());
  }
  ++next_;
  ++in_flight_;
  return true;
}

void Authorizer::take_outcomes(std::chrono::milliseconds timeout) {
  std::array<Completion, kInFlightMax> room;
  const auto completions = channel_.poll(room, timeout);
  if (!completions) fail("cannot poll", completions.error());
  const auto now = now_ns();
  for (const auto& completion : *completions) take(completion, now);
}

void Authorizer::take(const Completion& completion, std::int64_t now) {
  if (completion.tag() >= next_) throw std::runtime_error("an outcome of a request that was never submitted");
  const auto request = static_cast<std::uint32_t>(completion.tag());
  if (completion.is_answered()) {
    const auto bytes = completion.answer();
    const std::string_view answer(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto wrong = what_is_wrong_with(answer, {order_.authorizer, request});
    if (!wrong.empty()) throw std::runtime_error("the answer to request " + std::to_string(request) + ": " + wrong);
  }
  ledger_.end(request, fate_of(completion.outcome()), static_cast<std::uint16_t>(completion.reason()), now);
  if (in_flight_ == 0) throw std::runtime_error("more outcomes than requests");
  --in_flight_;
}

}  // namespace tlsmux::demo
