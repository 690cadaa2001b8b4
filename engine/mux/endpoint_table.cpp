#include "engine/mux/endpoint_table.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::engine::mux {
namespace {

constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr std::uint32_t kDoublingsMax = 20;

}  // namespace

EndpointTable::EndpointTable(const config::UpstreamSettings& settings) : backoff_(settings.backoff) {
  for (const auto& endpoint : settings.endpoints) endpoints_.push_back({.settings = endpoint});
}

// ---- Choice ----

bool EndpointTable::may_be_tried(std::size_t index, std::uint64_t now_ns, std::span<const EndpointLoad> loads) const {
  const auto& endpoint = endpoints_[index];
  if (endpoint.is_removed) return false;
  return !endpoint.is_out() || (endpoint.retry_ns <= now_ns && !loads[index].is_tried);
}

// With one session more than it has.
bool EndpointTable::is_better(std::size_t one, std::size_t other, std::span<const EndpointLoad> loads) const {
  const auto& a = endpoints_[one].settings;
  const auto& b = endpoints_[other].settings;
  if (a.priority != b.priority) return a.priority < b.priority;
  return (loads[one].sessions + 1ULL) * b.weight < (loads[other].sessions + 1ULL) * a.weight;
}

std::optional<std::uint32_t> EndpointTable::for_session(std::uint64_t now_ns,
                                                        std::span<const EndpointLoad> loads) const {
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < endpoints_.size(); ++i) {
    if (!may_be_tried(i, now_ns, loads)) continue;
    const bool is_out = endpoints_[i].is_out();
    const bool was_out = best && endpoints_[*best].is_out();
    if (!best || (was_out && !is_out) || (was_out == is_out && is_better(i, *best, loads))) best = i;
  }
  return best;
}

std::optional<std::uint32_t> EndpointTable::better_than(std::uint32_t from, std::uint64_t now_ns,
                                                        std::span<const EndpointLoad> loads) const {
  const auto& now_at = endpoints_[from].settings;
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < endpoints_.size(); ++i) {
    const auto& there = endpoints_[i].settings;
    if (i == from || !may_be_tried(i, now_ns, loads)) continue;
    if (endpoints_[from].is_removed) return i;
    if (there.priority > now_at.priority) continue;
    // Among equals only when the move does not call for the next one back.
    const bool is_fairer =
        (loads[i].sessions + 1ULL) * now_at.weight < std::uint64_t{loads[from].sessions} * there.weight;
    if (there.priority == now_at.priority && !is_fairer) continue;
    if (!best || is_better(i, *best, loads)) best = i;
  }
  return best;
}

std::uint64_t EndpointTable::next_retry_ns(std::uint64_t now_ns) const {
  std::uint64_t next = 0;
  for (const auto& endpoint : endpoints_) {
    if (!endpoint.is_removed && endpoint.retry_ns > now_ns && (next == 0 || endpoint.retry_ns < next))
      next = endpoint.retry_ns;
  }
  return next;
}

std::uint64_t EndpointTable::wait_ns(std::uint64_t now_ns) const {
  std::uint64_t earliest = ~0ULL;
  for (const auto& endpoint : endpoints_) {
    if (!endpoint.is_removed) earliest = std::min(earliest, endpoint.retry_ns);
  }
  return earliest > now_ns ? earliest - now_ns : 0;
}

bool EndpointTable::all_have_failed() const {
  return std::ranges::all_of(endpoints_, [](const Endpoint& one) { return one.failed || one.is_removed; });
}

// ---- News ----

void EndpointTable::came_up(std::uint32_t index) {
  endpoints_[index].retry_ns = 0;
  for (auto& endpoint : endpoints_) endpoint.failed = false;
}

void EndpointTable::count(Endpoint& endpoint, std::uint64_t started_ns, std::uint64_t now_ns, shm::Reason reason) {
  endpoint.last_error_reason = reason;
  if (endpoint.counted_ns != 0 && endpoint.counted_ns >= started_ns) return;
  endpoint.counted_ns = now_ns;
  ++endpoint.fruitless;
}

std::uint64_t EndpointTable::fail(std::uint32_t index, std::uint64_t started_ns, std::uint64_t now_ns,
                                  shm::Reason reason, std::mt19937_64& random) {
  auto& endpoint = endpoints_[index];
  endpoint.failed = true;
  const bool is_known = endpoint.is_out() && endpoint.counted_ns >= started_ns;
  count(endpoint, started_ns, now_ns, reason);
  const auto pause = pause_ns(endpoint.fruitless, random);
  if (!is_known) endpoint.retry_ns = now_ns + pause;
  return pause;
}

std::uint64_t EndpointTable::disappoint(std::uint32_t index, std::uint64_t started_ns, std::uint64_t now_ns,
                                        bool is_out, shm::Reason reason, std::mt19937_64& random) {
  auto& endpoint = endpoints_[index];
  count(endpoint, started_ns, now_ns, reason);
  const auto pause = pause_ns(endpoint.fruitless, random);
  if (is_out && endpoint.retry_ns <= now_ns) endpoint.retry_ns = now_ns + pause;
  return pause;
}

std::uint64_t EndpointTable::pause_ns(std::uint32_t fruitless, std::mt19937_64& random) const {
  const auto doublings = std::min(fruitless > 0 ? fruitless - 1 : 0U, kDoublingsMax);
  const auto pause_ms = std::min<std::uint64_t>(std::uint64_t{backoff_.initial_ms} << doublings, backoff_.max_ms);
  const auto spread_ms = pause_ms * backoff_.jitter_percent / 100;
  std::uniform_int_distribution<std::uint64_t> jitter(0, 2 * spread_ms);
  return std::max<std::uint64_t>(pause_ms - spread_ms + jitter(random), 1) * kNanosecondsPerMillisecond;
}

void EndpointTable::forget_failures() {
  for (auto& endpoint : endpoints_) endpoint = {.settings = endpoint.settings, .is_removed = endpoint.is_removed};
}

// ---- Another configuration ----

std::vector<std::uint32_t> EndpointTable::change(const config::UpstreamSettings& settings,
                                                 const std::vector<bool>& used) {
  backoff_ = settings.backoff;
  const auto before = std::exchange(endpoints_, {});
  std::vector<std::uint32_t> places(before.size(), kGone);
  for (const auto& wanted : settings.endpoints) {
    auto& endpoint = endpoints_.emplace_back(Endpoint{.settings = wanted});
    for (std::size_t i = 0; i < before.size(); ++i) {
      const auto& earlier = before[i];
      if (earlier.settings.host != wanted.host || earlier.settings.port != wanted.port || places[i] != kGone) continue;
      endpoint = earlier;
      endpoint.settings = wanted;
      endpoint.is_removed = false;
      places[i] = static_cast<std::uint32_t>(endpoints_.size() - 1);
      break;
    }
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (places[i] != kGone || !used[i]) continue;
    places[i] = static_cast<std::uint32_t>(endpoints_.size());
    endpoints_.push_back(before[i]);
    endpoints_.back().is_removed = true;
  }
  return places;
}

}  // namespace tlsmux::engine::mux
