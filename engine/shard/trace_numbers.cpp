#include "engine/shard/trace_numbers.hpp"

#include <algorithm>
#include <limits>

#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

// Granted to a channel before it needs them; fewer where blocks are few.
constexpr std::uint32_t blocks_ahead(const config::TraceNumberSettings& settings) {
  constexpr std::uint32_t kManyBlocks = 1024;
  return trace_block_count(settings) >= kManyBlocks ? shm::kTraceBlocks : 2;
}

constexpr std::uint64_t kRetryNs = 1'000'000'000;
constexpr std::uint64_t kAskAgainNs = 5'000'000'000;     // after the broker failed
constexpr std::uint64_t kLookAtRestsNs = 5'000'000'000;  // since all requests are looked through

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

// Another block length than before may let two ranges lie in one block.
std::vector<TraceChunk> chunks_of(const config::TraceNumberSettings& settings, const PackedTraceRanges& ranges) {
  std::vector<TraceChunk> chunks;
  const auto ordered = pack({ranges.all().begin(), ranges.all().end()});
  for (const auto& range : ordered.all()) {
    if (range.last < settings.first || range.first > settings.last) continue;
    auto from = (std::max(range.first, settings.first) - settings.first) / settings.block;
    if (!chunks.empty()) from = std::max(from, chunks.back().first + chunks.back().count);
    const auto end = (std::min(range.last, settings.last) - settings.first) / settings.block + 1;
    if (from < end) chunks.push_back({.first = from, .count = end - from});
  }
  return chunks;
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
  const auto wanted = blocks_ahead(upstreams_[upstream].settings);
  if (lease.producer.ahead() < wanted && !lease.waits) fill(upstream, channel_ref, lease);
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
  while (lease.producer.ahead() < blocks_ahead(upstreams_[upstream].settings)) {
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
    // With every block in use there is none to go on to.
    if (is_exhausted(its) || (its.present.count == 0 && !begin_chunk(its))) break;
    const auto block = its.present.first++;
    --its.present.count;
    if (its.had_round.contains(block) || is_held(its, block)) continue;
    if (its.used.emplace(block, its.round).second) taken = block;
  }
  ask_ahead(upstream);
  return taken;
}

bool TraceNumbers::begin_chunk(Upstream& upstream) const {
  if (upstream.next.count == 0) return false;
  upstream.present = std::exchange(upstream.next, {});
  if (upstream.present.first < upstream.position) {
    ++upstream.round;
    upstream.had_round.clear();
    auto& held = upstream.held;
    // Clients of earlier engines may have used numbers of this round as long as they did not know better.
    if (held.count == 0 || now_ns_ >= held.since_ns + shm::kTraceTrustNs) {
      held.kept.clear();
    } else {
      held.kept = held.chunks;
    }
  }
  upstream.position = upstream.present.first + upstream.present.count;
  return true;
}

bool TraceNumbers::is_exhausted(const Upstream& upstream) {
  return upstream.used.size() + upstream.held.count >= trace_block_count(upstream.settings);
}

bool TraceNumbers::is_held(const Upstream& upstream, std::uint32_t block) {
  const auto has = [&](const TraceChunk& chunk) { return block - chunk.first < chunk.count; };
  return std::ranges::any_of(upstream.held.chunks, has) || std::ranges::any_of(upstream.held.kept, has);
}

void TraceNumbers::hold(Upstream& upstream, const TraceHolds& holds) {
  upstream.held = {.chunks = chunks_of(upstream.settings, holds.all),
                   .kept = chunks_of(upstream.settings, holds.kept),
                   .since_ns = now_ns_};
  for (const auto& chunk : upstream.held.chunks) upstream.held.count += chunk.count;
  if (upstream.held.count > 0 && due_ns_ == 0) due_ns_ = now_ns_ + kTraceRestNs;
}

// What rests, too, and what may be leased until the next reservation, which the broker adds.
TraceHolds TraceNumbers::held_by_clients(const Upstream& upstream) {
  const auto& settings = upstream.settings;
  std::vector<TraceRange> all;
  std::vector<TraceRange> kept;
  // A client that has its block when the next round begins may use it in that one, too.
  const bool round_ends = upstream.position == trace_block_count(settings);
  std::unordered_set<std::uint32_t> left;
  std::unordered_set<std::uint32_t> left_before;  // before this round began
  for (const auto& each : upstream.left) {
    left.insert(each.block);
    if (each.round != upstream.round) left_before.insert(each.block);
  }
  for (const auto& [block, round] : upstream.used) {
    all.push_back(numbers_of(settings, {.first = block, .count = 1}));
    const bool used_in_this_round = round != upstream.round && !left_before.contains(block);
    if (used_in_this_round || (round_ends && !left.contains(block))) kept.push_back(all.back());
  }
  for (const auto block : upstream.had_round) kept.push_back(numbers_of(settings, {.first = block, .count = 1}));
  for (const auto& chunk : upstream.held.chunks) (round_ends ? kept : all).push_back(numbers_of(settings, chunk));
  for (const auto& chunk : upstream.held.kept) kept.push_back(numbers_of(settings, chunk));
  if (upstream.present.count > 0) (round_ends ? kept : all).push_back(numbers_of(settings, upstream.present));
  all.insert(all.end(), kept.begin(), kept.end());
  return {.all = pack(std::move(all)), .kept = pack(std::move(kept))};
}

void TraceNumbers::leave_block(std::uint32_t upstream, std::uint32_t block) {
  upstreams_[upstream].left.push_back({block, upstreams_[upstream].round, now_ns_});
  if (due_ns_ == 0) due_ns_ = now_ns_ + kTraceRestNs;
}

void TraceNumbers::ask_ahead(std::uint32_t upstream) {
  auto& its = upstreams_[upstream];
  const bool enough = its.next.count > 0 || its.present.count > trace_chunk_blocks(its.settings) / 2;
  if (enough || its.asked || now_ns_ < its.ask_again_ns) return;
  its.asked = true;
  needs_.push_back({.upstream = upstream,
                    .need = {.blocks = trace_chunk_blocks(its.settings),
                             .begins = !its.has_begun,
                             .held = its.has_begun ? held_by_clients(its) : TraceHolds{}}});
}

void TraceNumbers::add(std::uint32_t upstream, const TraceReservation& reservation) {
  auto& its = upstreams_[upstream];
  TMX_ASSERT(its.asked && its.next.count == 0);
  its.asked = false;
  its.next = reservation.chunk;
  if (!std::exchange(its.has_begun, true)) hold(its, reservation.held);
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
    auto& its = upstreams_[i];
    const auto horizon = std::min(now_ns_, oldest[i]);
    while (!its.left.empty() && its.left.front().since_ns + kTraceRestNs <= horizon) {
      const auto& left = its.left.front();
      const auto used = its.used.find(left.block);
      if (left.round == its.round && used->second != its.round) its.had_round.insert(left.block);
      its.used.erase(used);
      its.left.pop_front();
    }
    if (its.held.count > 0 && its.held.since_ns + kTraceRestNs <= horizon) {
      its.held.chunks.clear();
      its.held.count = 0;
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
    const auto rests_from = [&](std::uint64_t since_ns) {
      earlier(std::max(since_ns + kTraceRestNs, rests_ended_ns_ + kLookAtRestsNs));
    };
    if (!its.left.empty()) rests_from(its.left.front().since_ns);
    if (its.held.count > 0) rests_from(its.held.since_ns);
  }
}

}  // namespace tlsmux::engine
