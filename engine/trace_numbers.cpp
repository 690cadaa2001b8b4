#include "engine/trace_numbers.hpp"

#include <algorithm>
#include <limits>

#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint32_t kBlocksAhead = 2;  // granted to a channel before it needs them
constexpr std::uint64_t kRetryNs = 1'000'000'000;
constexpr std::uint64_t kAskAgainNs = 5'000'000'000;     // after the broker failed
constexpr std::uint64_t kLookAtRestsNs = 5'000'000'000;  // since all requests are looked through
static_assert(kBlocksAhead <= shm::kTraceBlocks);

// When the oldest request of each upstream that has not ended came in.
std::vector<std::uint64_t> oldest_intakes(const mux::RequestTable& requests, std::size_t upstreams) {
  std::vector<std::uint64_t> oldest(upstreams, std::numeric_limits<std::uint64_t>::max());
  for (std::uint32_t index = 0; index < requests.capacity(); ++index) {
    const auto& request = requests[index];
    if (request.state == mux::RequestState::free || request.upstream >= upstreams) continue;
    oldest[request.upstream] = std::min(oldest[request.upstream], request.intake_ns);
  }
  return oldest;
}

}  // namespace

TraceNumbers::TraceNumbers(const config::Config& config) {
  for (const auto& upstream : config.upstreams) upstreams_.push_back({.settings = upstream.trace_numbers});
}

std::string_view TraceNumbers::look(std::uint32_t upstream, std::uint32_t channel_ref, ChannelTraceLease& lease) {
  if (!lease.producer.is_asked()) return {};
  if (!lease.producer.look()) return "a trace lease's count of blocks is impossible";
  // The one that was begun last may still be in use.
  while (lease.blocks.size() > lease.producer.ahead() + 1) {
    leave_block(upstream, lease.blocks.front());
    lease.blocks.erase(lease.blocks.begin());
  }
  if (lease.producer.ahead() < kBlocksAhead && !lease.waits) fill(upstream, channel_ref, lease);
  return {};
}

void TraceNumbers::leave(std::uint32_t upstream, ChannelTraceLease& lease) {
  for (const auto block : lease.blocks) leave_block(upstream, block);
  std::erase_if(upstreams_[upstream].waiting, [&](const Waiting& each) { return each.lease == &lease; });
  lease.blocks.clear();
  lease.waits = false;
}

void TraceNumbers::fill(std::uint32_t upstream, std::uint32_t channel_ref, ChannelTraceLease& lease) {
  const auto before = lease.producer.ahead();
  lease.waits = false;
  while (lease.producer.ahead() < kBlocksAhead) {
    const auto block = take_block(upstream);
    if (!block) {
      lease.waits = true;
      upstreams_[upstream].waiting.push_back({channel_ref, &lease});
      if (due_ns_ == 0) due_ns_ = now_ns_ + kRetryNs;
      break;
    }
    lease.blocks.push_back(*block);
    lease.producer.push(trace_block(upstreams_[upstream].settings, *block));
  }
  if (lease.producer.ahead() == before) return;
  lease.producer.publish();
  granted_.push_back(channel_ref);
}

std::optional<std::uint32_t> TraceNumbers::take_own(std::uint32_t upstream) {
  auto& its = upstreams_[upstream];
  if (its.own_left == 0) {
    const auto block = take_block(upstream);
    if (!block) return std::nullopt;
    if (its.own_next != 0) leave_block(upstream, its.own_block);
    const auto numbers = trace_block(its.settings, *block);
    its.own_block = *block;
    its.own_next = numbers.first;
    its.own_left = numbers.count;
  }
  --its.own_left;
  return its.own_next++;
}

std::optional<std::uint32_t> TraceNumbers::take_block(std::uint32_t upstream) {
  auto& its = upstreams_[upstream];
  std::optional<std::uint32_t> taken;
  while (!taken) {
    if (its.present.count == 0) its.present = std::exchange(its.next, {});
    if (its.present.count == 0) break;
    const auto block = its.present.first;
    // With every block in use there is none to go on to.
    if (is_held_back(its, block) || its.used.size() >= trace_block_count(its.settings)) break;
    ++its.present.first;
    --its.present.count;
    if (its.used.insert(block).second) taken = block;
  }
  ask_ahead(upstream);
  return taken;
}

// The engine before this one may have leased it a moment before it died.
bool TraceNumbers::is_held_back(const Upstream& upstream, std::uint32_t block) const {
  return block < upstream.began_at && now_ns_ < began_ns_ + kTraceRestNs;
}

void TraceNumbers::leave_block(std::uint32_t upstream, std::uint32_t block) {
  upstreams_[upstream].left.push_back({block, now_ns_});
  if (due_ns_ == 0) due_ns_ = now_ns_ + kTraceRestNs;
}

void TraceNumbers::ask_ahead(std::uint32_t upstream) {
  auto& its = upstreams_[upstream];
  const bool enough = its.next.count > 0 || its.present.count > trace_chunk_blocks(its.settings) / 2;
  if (enough || its.asked || now_ns_ < its.ask_again_ns) return;
  its.asked = true;
  needs_.push_back({upstream, trace_chunk_blocks(its.settings)});
}

void TraceNumbers::add(std::uint32_t upstream, TraceChunk chunk) {
  auto& its = upstreams_[upstream];
  TMX_ASSERT(its.asked && its.next.count == 0);
  its.asked = false;
  its.next = chunk;
  if (!its.began_at) its.began_at = chunk.first;
  if (!its.waiting.empty()) due_ns_ = now_ns_;
}

void TraceNumbers::fail(std::uint32_t upstream) {
  auto& its = upstreams_[upstream];
  its.asked = false;
  its.ask_again_ns = now_ns_ + kAskAgainNs;
}

void TraceNumbers::work(const mux::RequestTable& requests) {
  if (due_ns_ == 0 || now_ns_ < due_ns_) return;
  if (now_ns_ >= rests_ended_ns_ + kLookAtRestsNs) end_rests(requests);
  serve_waiting();
  set_due();
}

void TraceNumbers::end_rests(const mux::RequestTable& requests) {
  rests_ended_ns_ = now_ns_;
  const auto oldest = oldest_intakes(requests, upstreams_.size());
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    auto& used = upstreams_[i].used;
    auto& left = upstreams_[i].left;
    const auto horizon = std::min(now_ns_, oldest[i]);
    while (!left.empty() && left.front().since_ns + kTraceRestNs <= horizon) {
      used.erase(left.front().block);
      left.pop_front();
    }
  }
}

void TraceNumbers::serve_waiting() {
  for (std::uint32_t i = 0; i < upstreams_.size(); ++i) {
    for (const auto& [channel_ref, lease] : std::exchange(upstreams_[i].waiting, {})) fill(i, channel_ref, *lease);
  }
}

void TraceNumbers::set_due() {
  due_ns_ = 0;
  const auto earlier = [&](std::uint64_t at_ns) { due_ns_ = due_ns_ == 0 ? at_ns : std::min(due_ns_, at_ns); };
  for (const auto& its : upstreams_) {
    if (!its.waiting.empty()) earlier(now_ns_ + kRetryNs);
    if (!its.left.empty()) {
      earlier(std::max(its.left.front().since_ns + kTraceRestNs, rests_ended_ns_ + kLookAtRestsNs));
    }
  }
}

}  // namespace tlsmux::engine
