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

const WaitingStream* LeaseQueue::front(const std::vector<bool>& passed_over) const {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const auto group = (turn_ + i) % groups_.size();
    const bool is_passed_over = group < passed_over.size() && passed_over[group];
    if (!groups_[group].empty() && !is_passed_over) return &groups_[group].front();
  }
  return nullptr;
}

WaitingStream LeaseQueue::take(const WaitingStream& front) {
  const auto group = front.group;
  TMX_ASSERT(!groups_[group].empty() && &groups_[group].front() == &front);
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
