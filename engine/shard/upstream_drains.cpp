#include "engine/shard/upstream_drains.hpp"

#include <algorithm>
#include <cerrno>

namespace tlsmux::engine {
namespace {

constexpr std::uint64_t kCloseTimeNs = 1'000'000'000;  // for saying goodbye to hosts

}  // namespace

// kNone, and a reply, when there is no such upstream.
std::uint32_t UpstreamDrains::find(const std::string& name, ClientId asker, std::vector<ShardReply>& replies) const {
  const auto& upstreams = multiplexer_->upstreams();
  const auto found = std::ranges::find_if(upstreams, [&](const auto& upstream) {
    return upstream->tls_client != nullptr && !upstream->removed && upstream->settings->name == name;
  });
  if (found != upstreams.end()) return static_cast<std::uint32_t>(found - upstreams.begin());
  replies.emplace_back(
      UpstreamDrained{.asker = asker, .error = ENOENT, .error_text = "there is no upstream of that name"});
  return mux::kNone;
}

void UpstreamDrains::drain(const DrainUpstream& order, std::uint64_t now_ns, std::vector<ShardReply>& replies) {
  const auto upstream = find(order.upstream, order.asker, replies);
  if (upstream == mux::kNone) return;
  const auto& settings = *multiplexer_->upstreams()[upstream]->settings;
  const std::uint64_t timeout_ms = order.timeout_ms != 0 ? order.timeout_ms : settings.timeouts.drain_ms;
  multiplexer_->drain_upstream(upstream, static_cast<std::uint32_t>(timeout_ms));
  orders_.push_back(
      {.asker = order.asker, .upstream = upstream, .ends_ns = now_ns + timeout_ms * mux::kNanosecondsPerMillisecond});
}

void UpstreamDrains::resume(const ResumeUpstream& order, std::vector<ShardReply>& replies) {
  const auto upstream = find(order.upstream, order.asker, replies);
  if (upstream == mux::kNone) return;
  multiplexer_->resume_upstream(upstream);
  std::erase_if(orders_, [&](const Order& other) {
    if (other.upstream != upstream) return false;
    replies.emplace_back(UpstreamDrained{
        .asker = other.asker, .error = ECANCELED, .error_text = "somebody has resumed the upstream meanwhile"});
    return true;
  });
  replies.emplace_back(UpstreamDrained{.asker = order.asker});
}

bool UpstreamDrains::is_done(const Order& order, std::uint64_t now_ns) const {
  // Settings that had waited for its end may have started it anew at once.
  if (!multiplexer_->upstreams()[order.upstream]->draining) return true;
  return multiplexer_->upstream_is_drained(order.upstream) || (order.is_ending && now_ns >= order.ends_ns);
}

void UpstreamDrains::end_overdue(std::uint64_t now_ns) {
  for (auto& order : orders_) {
    if (order.is_ending || now_ns < order.ends_ns || is_done(order, now_ns)) continue;
    order.requests_left = static_cast<std::uint32_t>(multiplexer_->requests_left(order.upstream));
    order.is_ending = true;
    order.ends_ns = now_ns + kCloseTimeNs;
    multiplexer_->end_upstream(order.upstream);
  }
}

void UpstreamDrains::answer(std::uint64_t now_ns, std::vector<ShardReply>& replies) {
  std::erase_if(orders_, [&](const Order& order) {
    if (!is_done(order, now_ns)) return false;
    replies.emplace_back(UpstreamDrained{.asker = order.asker, .requests_left = order.requests_left});
    return true;
  });
}

std::uint64_t UpstreamDrains::next_due_ns() const {
  const auto first = std::ranges::min_element(orders_, {}, &Order::ends_ns);
  return first == orders_.end() ? 0 : first->ends_ns;
}

}  // namespace tlsmux::engine
