#include "tests/system/load_client.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <random>
#include <unordered_map>

#include "tests/host/record.hpp"
#include "tests/system/eventually.hpp"
#include "tests/system/ledger.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::test {
namespace {

constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kCompletionsAtOnce = 16;

// One channel and what is open on it.
struct Lane {
  struct Open {
    std::uint64_t sequence = 0;
    std::uint32_t bytes = 0;
  };
  tmx_channel* channel = nullptr;
  std::unordered_map<std::uint64_t, Open> open;  // by tag
};

class LoadClient {
 public:
  explicit LoadClient(const LoadOrder& order)
      : order_(order), random_(order.seed ^ (std::uint64_t{order.client} << 32)), ledger_(order.ledger) {}

  LoadReport run();

 private:
  using Clock = std::chrono::steady_clock;

  bool fail(LoadTrouble trouble, int error = 0);
  bool attach();
  bool work();
  bool submit_some(Lane& lane);
  bool submit_one(Lane& lane, bool& full);
  bool take_some(Lane& lane);
  bool take_one(Lane& lane, const tmx_completion& completion);
  bool close();
  void note(Fate fate, tmx_reason reason, const Lane::Open& request);
  void wait();
  [[nodiscard]] bool all_submitted();
  [[nodiscard]] bool has_open() const;
  std::uint32_t draw_bytes();
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  const LoadOrder& order_;
  std::mt19937_64 random_;
  Ledger ledger_;
  LoadReport report_;
  tmx_client* client_ = nullptr;
  std::vector<Lane> lanes_;
  std::uint64_t sequence_ = 0;
  bool told_to_stop_ = false;
  Clock::time_point progress_ = Clock::now();
};

LoadReport LoadClient::run() {
  if (attach() && work()) close();
  return report_;
}

bool LoadClient::fail(LoadTrouble trouble, int error) {
  report_.trouble = trouble;
  report_.error = error;
  return false;
}

bool LoadClient::attach() {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = order_.group.c_str();
  options.control_socket = order_.control_socket.c_str();
  int error = 0;
  const auto passing = [&] {
    return error == -ECONNREFUSED || error == -ETIMEDOUT || error == -EAGAIN || error == -ENOTCONN;
  };
  const bool decided = eventually([&] {
    error = tmx_attach(&options, &client_);
    return !passing();
  });
  if (!decided || error != 0) return fail(LoadTrouble::attach, error);
  for (const auto& upstream : order_.upstreams) {
    Lane lane;
    const bool opened = eventually([&] {
      error = tmx_channel_open(client_, upstream.c_str(), &lane.channel);
      return !passing();
    });
    if (!opened || error != 0) return fail(LoadTrouble::open, error);
    lanes_.push_back(std::move(lane));
  }
  return true;
}

bool LoadClient::work() {
  progress_ = Clock::now();
  while (true) {
    const bool submitting = !all_submitted();
    if (!submitting && !has_open()) return true;
    for (auto& lane : lanes_) {
      if (submitting && !submit_some(lane)) return false;
    }
    wait();
    for (auto& lane : lanes_) {
      if (!take_some(lane)) return false;
    }
    ledger_.flush();
    if (has_open() && Clock::now() - progress_ > kPatience) return fail(LoadTrouble::stuck);
  }
}

bool LoadClient::submit_some(Lane& lane) {
  bool full = false;
  while (!full && lane.open.size() < order_.in_flight_max && !all_submitted()) {
    if (!submit_one(lane, full)) return false;
  }
  return true;
}

bool LoadClient::submit_one(Lane& lane, bool& full) {
  tmx_buffer buffer{};
  int error = tmx_reserve(lane.channel, &buffer);
  full = error == -EAGAIN || error == -ENOTCONN;
  if (full) return true;
  if (error != 0) return fail(LoadTrouble::submit, error);
  const Lane::Open request{.sequence = ++sequence_, .bytes = draw_bytes()};
  const auto message = load_message(order_.seed, order_.client, request.sequence, request.bytes);
  std::memcpy(buffer.data, message.data(), message.size());
  const auto timeout_ms = order_.timeout_ms_min + below(order_.timeout_ms_max - order_.timeout_ms_min + 1);
  error = tmx_submit(lane.channel, &buffer, request.bytes, request.sequence, static_cast<std::uint32_t>(timeout_ms));
  if (error == 0) {
    ++report_.submitted;
    lane.open[request.sequence] = request;
    if (below(100) < order_.cancel_percent) tmx_cancel(lane.channel, lane.open.begin()->first);  // of any age
    return true;
  }
  full = error == -EAGAIN || error == -ENOTCONN || error == -ESTALE;
  if (!full || tmx_abandon(lane.channel, &buffer) != 0) return fail(LoadTrouble::submit, error);
  ++report_.refused_submissions;
  note(Fate::not_submitted, TMX_REASON_NONE, request);
  return true;
}

bool LoadClient::take_some(Lane& lane) {
  std::array<tmx_completion, kCompletionsAtOnce> completions;
  int taken = 0;
  do {
    taken = tmx_poll(lane.channel, completions.data(), completions.size(), 0);
    if (taken < 0) return fail(LoadTrouble::poll, taken);
    for (int i = 0; i < taken; ++i) {
      if (!take_one(lane, completions[static_cast<std::size_t>(i)])) return false;
    }
  } while (taken > 0);
  return true;
}

bool LoadClient::take_one(Lane& lane, const tmx_completion& completion) {
  const auto found = lane.open.find(completion.tag);
  if (found == lane.open.end()) return fail(LoadTrouble::unknown_tag);
  const auto request = found->second;
  lane.open.erase(found);
  progress_ = Clock::now();
  const auto reason = static_cast<std::size_t>(completion.reason) % report_.not_sent_reasons.size();
  switch (completion.outcome) {
    case TMX_ANSWERED: {
      ++report_.answered;
      if (order_.answered != nullptr) order_.answered->fetch_add(1, std::memory_order_relaxed);
      const auto expected = load_message(order_.seed, order_.client, request.sequence, request.bytes);
      const bool same =
          completion.length == expected.size() && std::memcmp(completion.data, expected.data(), expected.size()) == 0;
      if (!same) return fail(LoadTrouble::answer);
      break;
    }
    case TMX_NOT_SENT:
      ++report_.not_sent;
      ++report_.not_sent_reasons[reason];
      break;
    case TMX_MAYBE_SENT:
      ++report_.maybe_sent;
      ++report_.maybe_sent_reasons[reason];
      break;
    default: return fail(LoadTrouble::poll);
  }
  note(static_cast<Fate>(completion.outcome), completion.reason, request);
  return tmx_release(lane.channel, &completion) == 0 || fail(LoadTrouble::poll);
}

bool LoadClient::close() {
  for (auto& lane : lanes_) {
    if (const int error = tmx_channel_close(lane.channel); error != 0) return fail(LoadTrouble::close, error);
  }
  const int error = tmx_detach(client_);
  return error == 0 || fail(LoadTrouble::close, error);
}

void LoadClient::note(Fate fate, tmx_reason reason, const Lane::Open& request) {
  if (order_.ledger.empty() || request.bytes < kKeyBytes) return;
  const auto message = load_message(order_.seed, order_.client, request.sequence, request.bytes);
  ledger_.add({.sequence = request.sequence,
               .client = order_.client,
               .bytes = request.bytes,
               .hash = host::fnv1a64(message),
               .fate = fate,
               .reason = static_cast<std::uint16_t>(reason)});
}

// Until a channel has news, or we are told to stop.
void LoadClient::wait() {
  std::vector<pollfd> wanted;
  wanted.reserve(lanes_.size() + 1);
  for (const auto& lane : lanes_) {
    wanted.push_back({.fd = tmx_channel_descriptor(lane.channel), .events = POLLIN, .revents = 0});
  }
  wanted.push_back({.fd = told_to_stop_ ? -1 : order_.stop, .events = POLLIN, .revents = 0});
  ::poll(wanted.data(), wanted.size(), 1000);
  if (wanted.back().revents != 0) told_to_stop_ = true;
}

bool LoadClient::all_submitted() { return told_to_stop_ || (order_.requests > 0 && sequence_ >= order_.requests); }

bool LoadClient::has_open() const {
  return std::ranges::any_of(lanes_, [](const Lane& lane) { return !lane.open.empty(); });
}

// Each size of a message from one byte to the next power of two is as likely as the next: most are small.
std::uint32_t LoadClient::draw_bytes() {
  if (below(32) == 0) return order_.bytes_max;
  if (below(32) == 0) return order_.bytes_min;
  const double ratio = double(order_.bytes_max) / order_.bytes_min;
  const double exponent = std::uniform_real_distribution<double>(0, 1)(random_);
  return std::clamp(static_cast<std::uint32_t>(order_.bytes_min * std::pow(ratio, exponent)), order_.bytes_min,
                    order_.bytes_max);
}

}  // namespace

LoadReport run_load(const LoadOrder& order) { return LoadClient(order).run(); }

std::string load_message(std::uint64_t seed, std::uint32_t client, std::uint64_t sequence, std::size_t bytes) {
  std::string message(bytes, '\0');
  std::uint64_t state = seed ^ (std::uint64_t{client} << 40) ^ sequence;
  for (std::size_t at = 0; at < bytes; at += sizeof state) {
    state = (state ^ state >> 29) * 0x9e3779b97f4a7c15 + 1;
    std::memcpy(message.data() + at, &state, std::min(sizeof state, bytes - at));
  }
  if (bytes < kKeyBytes) return message;
  const std::uint64_t wide = client;
  std::memcpy(message.data(), &wide, sizeof wide);
  std::memcpy(message.data() + sizeof wide, &sequence, sizeof sequence);
  return message;
}

}  // namespace tlsmux::test
