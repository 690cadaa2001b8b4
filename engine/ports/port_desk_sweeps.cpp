// Time and events: sweeps, the ends of processes, what the guard has seen.

#include <algorithm>
#include <chrono>

#include "engine/ports/port_desk.hpp"

namespace tlsmux::engine {

void PortDesk::on_events() {
  for (const auto number : world_.take_ended()) {
    const auto ended = watched_.extract(number);
    if (!ended.empty()) bury(ended.mapped().group, ended.mapped().owner);
  }
  on_guard_news();
  if (world_.take_enforcement_change()) look_at_enforcement();
}

std::uint64_t PortDesk::next_deadline_ns() const {
  auto next_ns = sweep_at_ns_;
  for (const auto& group : groups_) {
    if (group == nullptr || group->due_ns() == 0) continue;
    next_ns = next_ns == 0 ? group->due_ns() : std::min(next_ns, group->due_ns());
  }
  return next_ns;
}

void PortDesk::run_timers() {
  const auto now_ns = world_.now_ns();
  for (const auto& group : groups_) {
    if (group != nullptr && group->due_ns() != 0 && group->due_ns() <= now_ns) group->publish(now_ns);
  }
  if (sweep_at_ns_ != 0 && sweep_at_ns_ <= now_ns) sweep();
}

void PortDesk::sweep_soon() { sweep_by(std::max(world_.now_ns(), rested_at_ns_)); }

void PortDesk::sweep_by(std::uint64_t at_ns) {
  sweep_at_ns_ = sweep_at_ns_ == 0 ? at_ns : std::min(sweep_at_ns_, at_ns);
}

// What was found out about sockets counts at once.
void PortDesk::sweep() {
  if (sweep_once() && sweep_once()) sweep_soon();
}

// True: another one tells more.
bool PortDesk::sweep_once() {
  const auto begun_ns = world_.now_ns();
  const bool is_full = begun_ns >= full_sweep_at_ns_;
  if (is_full) {
    full_sweep_at_ns_ = begun_ns + kFullSweepEvery * sweep_ns();
    sweeper_.forget();
    bury_the_dead();
    forget_idle_processes();
  }
  for (auto& [id, seat] : seats_) {
    if (groups_[seat.client.group] != nullptr && !seat.has_left) look_at_leases(seat);
  }
  relieve_scarcity();
  has_buried_ = false;
  const auto swept = sweeper_.sweep(groups_, is_full, begun_ns);
  has_new_plans_ = has_new_plans_ && !swept;
  std::expected<bool, shm::SystemError> found = false;
  if (swept) found = sweeper_.look_up_owners(groups_);
  const auto* const failure = !swept ? &swept.error() : !found ? &found.error() : nullptr;
  if (failure != nullptr) {
    const control::Throttle::Clock::time_point now{std::chrono::nanoseconds(begun_ns)};
    if (const auto unlogged = sweep_failures_.pass(now)) {
      log_.error("ports_not_swept", {{"why", failure->message}, {"unlogged", *unlogged}});
    }
  }
  const auto ended_ns = world_.now_ns();
  bool is_anything_held = false;
  bool is_anything_planned = false;
  for (const auto& group : groups_) {
    if (group == nullptr) continue;
    group->publish(ended_ns);
    const bool learns_more = found && *found;
    if (!learns_more) group->log_external();
    is_anything_held = is_anything_held || group->is_anything_held() || group->book().wants_sweep();
    is_anything_planned = is_anything_planned || group->has_ports();
  }
  // However many die, there is time for other things: a fifth of it is for sweeps.
  rested_at_ns_ = ended_ns + 4 * (ended_ns - begun_ns);
  sweep_at_ns_ = is_anything_planned || is_anything_held ? full_sweep_at_ns_ : 0;
  if (is_anything_held) sweep_at_ns_ = std::min(sweep_at_ns_, ended_ns + sweep_ns());
  return found && *found;
}

// Owners whose end nobody tells: those of an engine before this one, those that the guard saw, those beyond kWatchedMax.
void PortDesk::bury_the_dead() {
  for (std::uint32_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i] == nullptr) continue;
    std::map<std::pair<std::uint32_t, std::uint64_t>, ports::PortOwner> owners;
    for (const auto* entry : groups_[i]->entries()) {
      const bool is_told = entry->owner.pid == 0 || entry->state == shm::PortState::orphan ||
                           entry->state == shm::PortState::quarantine || entry->state == shm::PortState::external ||
                           (entry->flags & shm::kPortEngine) != 0;
      if (!is_told) owners.try_emplace({entry->owner.pid, entry->owner.pidfd_inode}, entry->owner);
    }
    for (const auto& [id, seat] : seats_) {
      const auto& owner = seat.client.owner;
      if (seat.client.group == i && !seat.has_left) owners.erase({owner.pid, owner.pidfd_inode});
    }
    for (const auto& [number, watched] : watched_) {
      if (watched.group == i) owners.erase({watched.owner.pid, watched.owner.pidfd_inode});
    }
    for (const auto& [process, owner] : owners) {
      if (!world_.is_alive(owner)) bury(i, owner);
    }
  }
}

void PortDesk::forget_idle_processes() {
  for (auto watched = watched_.begin(); watched != watched_.end();) {
    const bool is_idle = !has_ports(watched->second.group, watched->second.owner);
    if (is_idle) world_.unwatch(watched->first);
    watched = is_idle ? watched_.erase(watched) : std::next(watched);
  }
}

// ---- The guard ----

void PortDesk::on_guard_news() {
  const auto news = world_.take_guard_news();
  std::map<std::uint32_t, ports::PortOwner> known;  // of these events, by pid
  for (const auto& event : news.events) {
    const auto group = group_of(event.port);
    if (!group) continue;
    if (event.is_denied) {
      groups_[*group]->deny(event, world_.now_ns());
    } else {
      on_bind(event, known);
    }
  }
  for (const auto& group : groups_) {
    if (group == nullptr) continue;
    group->set_denials_lost(news.lost);
    publish(*group);
  }
}

void PortDesk::on_bind(const ports::GuardEvent& event, std::map<std::uint32_t, ports::PortOwner>& known) {
  const auto group = *group_of(event.port);
  auto [place, is_new] = known.try_emplace(event.pid);
  auto& owner = place->second;
  if (is_new) {
    owner = {.pid = event.pid, .uid = event.uid, .client_id = 0, .pidfd_inode = 0, .program = event.program};
    // It may have ended meanwhile, and its number may be another's.
    if (auto process = world_.identify(event.pid); process && process->owner.uid == event.uid) {
      owner = std::move(process->owner);
    }
  }
  if (auto* const seat = find_process(group, owner)) {
    owner = seat->client.owner;
    look_at_leases(*seat);
  }
  groups_[group]->book().bind_seen(event.port, owner, event.at_ns, world_.now_ns());
}

std::optional<std::uint32_t> PortDesk::group_of(ports::Port port) const {
  for (std::uint32_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i] != nullptr && groups_[i]->book().plan().contains(port)) return i;
  }
  return std::nullopt;
}

}  // namespace tlsmux::engine
