#include "engine/shard/orphan_memory.hpp"

#include <algorithm>

namespace tlsmux::engine {

void OrphanMemory::keep(std::uint64_t id, std::uint32_t group, tls::SecretBytes request, std::uint64_t until_ns) {
  kept_[id] = {.group = group, .until_ns = until_ns, .request = std::move(request)};
  by_end_[group].insert({until_ns, id});
}

tls::SecretBytes OrphanMemory::take(std::uint64_t id) {
  const auto found = kept_.find(id);
  if (found == kept_.end()) return {};
  auto request = std::move(found->second.request);
  by_end_[found->second.group].erase({found->second.until_ns, id});
  kept_.erase(found);
  return request;
}

std::size_t OrphanMemory::count(std::uint32_t group) const {
  const auto line = by_end_.find(group);
  return line == by_end_.end() ? 0 : line->second.size();
}

void OrphanMemory::drop_first(std::uint32_t group) { take(by_end_[group].begin()->second); }

void OrphanMemory::drop_group(std::uint32_t group) {
  while (count(group) > 0) drop_first(group);
  by_end_.erase(group);
}

void OrphanMemory::tick(std::uint64_t now_ns) {
  for (auto& [group, line] : by_end_) {
    while (!line.empty() && line.begin()->first <= now_ns) take(line.begin()->second);
  }
}

std::uint64_t OrphanMemory::next_due_ns() const {
  std::uint64_t due_ns = 0;
  for (const auto& [group, line] : by_end_) {
    if (!line.empty()) due_ns = due_ns == 0 ? line.begin()->first : std::min(due_ns, line.begin()->first);
  }
  return due_ns;
}

}  // namespace tlsmux::engine
