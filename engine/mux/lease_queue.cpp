#include "engine/mux/lease_queue.hpp"

#include <algorithm>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

void LeaseQueue::push(WaitingStream stream) {
  auto& group = groups_[stream.group];
  group.push_back(std::move(stream));
  ++size_;
}

std::size_t LeaseQueue::group_in_turn() const {
  TMX_ASSERT(size_ > 0);
  auto group = turn_ % groups_.size();
  while (groups_[group].empty()) group = (group + 1) % groups_.size();
  return group;
}

const WaitingStream& LeaseQueue::front() const { return groups_[group_in_turn()].front(); }

WaitingStream LeaseQueue::take() {
  const auto group = group_in_turn();
  auto stream = std::move(groups_[group].front());
  groups_[group].pop_front();
  --size_;
  turn_ = group + 1;
  return stream;
}

void LeaseQueue::remove(StreamId stream) {
  for (auto& group : groups_) size_ -= std::erase_if(group, [&](const auto& one) { return one.stream == stream; });
}

std::optional<WaitingStream> LeaseQueue::take_overdue(std::uint64_t now_ns) {
  for (auto& group : groups_) {
    const auto overdue = std::ranges::find_if(group, [&](const auto& one) { return one.deadline_ns <= now_ns; });
    if (overdue == group.end()) continue;
    auto stream = std::move(*overdue);
    group.erase(overdue);
    --size_;
    return stream;
  }
  return std::nullopt;
}

std::uint64_t LeaseQueue::earliest_deadline_ns() const {
  std::uint64_t earliest = 0;
  for (const auto& group : groups_) {
    for (const auto& one : group) {
      if (earliest == 0 || one.deadline_ns < earliest) earliest = one.deadline_ns;
    }
  }
  return earliest;
}

}  // namespace tlsmux::engine::mux
