#include "engine/control/lobby.hpp"

#include <algorithm>
#include <ranges>
#include <unordered_map>

namespace tlsmux::engine::control {

std::optional<Lobby::Id> Lobby::enter(Id id, std::uint32_t uid, Clock::time_point now) {
  entries_.push_back({.id = id, .uid = uid, .admitted = false, .deadline = now + kTimeToAsk});
  if (waiting_of(uid) > kConnectionsPerUserMax) return id;
  if (waiting() > kConnectionsMax) return newest_of_greediest();
  return std::nullopt;
}

void Lobby::admit(Id id, Clock::time_point now) {
  const auto entry = std::ranges::find(entries_, id, &Entry::id);
  if (entry == entries_.end()) return;
  entry->admitted = true;
  entry->deadline = now + kTimeToMap;
}

void Lobby::leave(Id id) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.id == id; });
}

std::optional<Lobby::Id> Lobby::newest() const {
  const auto waiting = entries_ | std::views::reverse;
  const auto entry = std::ranges::find(waiting, false, &Entry::admitted);
  if (entry == waiting.end()) return std::nullopt;
  return entry->id;
}

std::optional<Lobby::Clock::time_point> Lobby::next_deadline() const {
  if (entries_.empty()) return std::nullopt;
  return std::ranges::min(entries_, {}, &Entry::deadline).deadline;
}

std::vector<Lobby::Id> Lobby::expired(Clock::time_point now) const {
  std::vector<Id> ids;
  for (const auto& entry : entries_) {
    if (entry.deadline <= now) ids.push_back(entry.id);
  }
  return ids;
}

std::size_t Lobby::waiting() const {
  return static_cast<std::size_t>(std::ranges::count(entries_, false, &Entry::admitted));
}

std::size_t Lobby::waiting_of(std::uint32_t uid) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [&](const Entry& entry) { return entry.uid == uid && !entry.admitted; }));
}

std::optional<Lobby::Id> Lobby::newest_of_greediest() const {
  std::unordered_map<std::uint32_t, std::size_t> counts;
  std::optional<Id> chosen;
  std::size_t most = 0;
  for (const auto& entry : entries_) {
    if (entry.admitted) continue;
    const auto count = ++counts[entry.uid];
    if (count < most) continue;  // of equals, the newest
    most = count;
    chosen = entry.id;
  }
  return chosen;
}

}  // namespace tlsmux::engine::control
