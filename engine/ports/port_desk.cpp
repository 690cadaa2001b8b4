// Groups and clients.

#include "engine/ports/port_desk.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "shm/assert.hpp"

namespace tlsmux::engine {

PortDesk::PortDesk(PortWorld& world, Log& log, Settings settings)
    : world_(world), log_(log), settings_(std::move(settings)), sweeper_(world) {}

// ---- Groups ----

void PortDesk::add_group(const config::GroupSettings& settings, PortGroup::Parts parts,
                         std::span<const ports::PortEntry> before) {
  parts.wall_offset_s = settings_.wall_offset_s;
  auto& group = *groups_.emplace_back(std::make_unique<PortGroup>(settings, std::move(parts), log_));
  auto& source_ports = source_ports_before_.emplace_back();
  std::vector<ports::PortEntry> adopted;
  for (const auto& entry : before) {
    // The engine's own are claimed anew: nobody else can have inherited their sockets.
    if ((entry.flags & shm::kPortEngine) == 0) {
      adopted.push_back(entry);
    } else if (entry.port.protocol == ports::Protocol::tcp) {
      source_ports.push_back(entry.port.number);
    }
  }
  const auto now_ns = world_.now_ns();
  if (!adopted.empty()) {
    group.book().adopt(adopted, shm::kPortTrustNs, now_ns);
    const auto free = std::ranges::count(adopted, shm::PortState::free, &ports::PortEntry::state);
    log_.info("ports_adopted",
              {{"group", group.name()}, {"ports", std::ssize(adopted) - free}, {"labels_of_free_ports", free}});
  }
  publish(group);
  full_sweep_at_ns_ = now_ns;  // in which it comes out whose owners are dead
  has_new_plans_ = true;
  sweep_soon();
}

void PortDesk::change_group(std::uint32_t group, const config::GroupSettings& settings, config::Membership membership) {
  groups_[group]->change(settings, std::move(membership), world_.now_ns());
  take_back_leases_outside(group);
  full_sweep_at_ns_ = world_.now_ns();
  has_new_plans_ = true;
  sweep_soon();
}

// A port that is not the group's any more may be another group's now.
void PortDesk::take_back_leases_outside(std::uint32_t group) {
  std::vector<ports::Port> outside;
  for (const auto* entry : groups_[group]->entries()) {
    if ((entry->flags & shm::kPortGrandfathered) != 0) outside.push_back(entry->port);
  }
  for (const auto port : outside) make_room(group, port);
  publish(*groups_[group]);
}

// Before any port is given out by other plans than before: a port that has gone from one group to another may be held by
// a process of the first.
void PortDesk::heed_new_plans() {
  if (has_new_plans_) sweep();
}

void PortDesk::remove_group(std::uint32_t group) {
  for (auto& [id, seat] : seats_) {
    if (seat.client.group == group && !seat.has_left) take_back_leases(seat);
  }
  groups_[group].reset();
  has_new_plans_ = true;
  for (auto watched = watched_.begin(); watched != watched_.end();) {
    const bool is_of_it = watched->second.group == group;
    if (is_of_it) world_.unwatch(watched->first);
    watched = is_of_it ? watched_.erase(watched) : std::next(watched);
  }
}

void PortDesk::set_sweep_ms(std::uint32_t sweep_ms) {
  settings_.sweep_ms = sweep_ms;
  sweep_soon();
}

void PortDesk::look_at_enforcement() {
  bool is_guarded = false;
  for (std::uint32_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i] == nullptr) continue;
    if (auto levels = world_.enforcement(i)) {
      is_guarded = is_guarded || levels->guard.state == shm::PortEnforcement::on;
      groups_[i]->set_enforcement(std::move(*levels));
    } else {
      log_.error("port_enforcement_unknown", {{"group", groups_[i]->name()}, {"why", levels.error().message}});
    }
  }
  if (is_guarded) {
    on_guard_news();  // of the guard before, if it is another one now
    if (const auto opened = world_.open_guard_events(); !opened) {
      log_.error("port_guard_events_not_opened", {{"why", opened.error().message}});
    }
  }
  for (auto& [id, seat] : seats_) {
    if (!seat.has_left) admit(seat);
  }
}

// ---- Clients ----

void PortDesk::client_attached(Client client) {
  auto& words = *reinterpret_cast<shm::PortLeases*>(client.memory->bytes().data() + client.leases_offset);
  const auto id = client.id;
  const auto added = seats_.try_emplace(id, Seat{.client = std::move(client), .leases = ports::LeaseTable(words)});
  admit(added.first->second);
}

void PortDesk::client_left(ClientId id) {
  auto* const seat = find(id);
  if (seat == nullptr || std::exchange(seat->has_left, true)) return;
  const auto& client = seat->client;
  if (groups_[client.group] == nullptr) return;
  take_back_leases(*seat);
  publish(*groups_[client.group]);
  if (std::exchange(seat->is_admitted, false)) world_.dismiss(client.group, client.owner.pid);
}

void PortDesk::client_died(ClientId id) {
  client_left(id);
  auto* const seat = find(id);
  if (seat == nullptr || std::exchange(seat->has_died, true)) return;
  bury(seat->client.group, seat->client.owner);
}

void PortDesk::client_forgotten(ClientId id, shm::UniqueFd pidfd) {
  client_left(id);
  const auto seat = seats_.extract(id);
  if (seat.empty() || seat.mapped().has_died || !pidfd) return;
  const auto& [group, owner] = std::tie(seat.mapped().client.group, seat.mapped().client.owner);
  const bool is_wanted = groups_[group] != nullptr && has_ports(group, owner) && !is_watched(group, owner);
  if (!is_wanted || watched_.size() >= kWatchedMax) return;
  if (world_.watch(++last_number_, owner, std::move(pidfd))) {
    watched_.emplace(last_number_, Watched{.group = group, .asker = 0, .owner = owner});
  }
}

// What it has is treated like what a dead process had; its sockets stay its own as far as the kernel knows them.
void PortDesk::offend(Seat& seat, std::string_view rule) {
  if (std::exchange(seat.is_offender, true)) return;
  offences_.push_back({.client = seat.client.id, .rule = std::string(rule)});
  take_back_leases(seat);
  bury(seat.client.group, seat.client.owner);
}

// Membership by a supplementary Unix group is beyond the guard's sight. Whom the guard knows already it goes on knowing.
void PortDesk::admit(Seat& seat) {
  const auto& client = seat.client;
  const auto* const group = groups_[client.group].get();
  const bool was_admitted = std::exchange(seat.is_admitted, false);
  seat.is_unknown_to_guard = false;
  if (group == nullptr || group->enforcement().guard.state != shm::PortEnforcement::on) return;
  if (group->membership().is_member(client.owner.uid, std::span(&client.gid, 1))) {
    if (was_admitted) world_.dismiss(client.group, client.owner.pid);
    return;
  }
  const auto admitted = world_.admit(client.group, client.owner.pid);
  seat.is_admitted = admitted.has_value();
  seat.is_unknown_to_guard = !admitted;
  if (admitted) return;
  log_.warning("port_guard_not_told", {{"group", group->name()},
                                       {"pid", client.owner.pid},
                                       {"why", admitted.error().message},
                                       {"means", "the guard takes this member for a stranger"}});
}

void PortDesk::publish(PortGroup& group) {
  const auto now_ns = world_.now_ns();
  group.publish(now_ns);
  if (group.is_anything_held()) sweep_by(now_ns + sweep_ns());
}

void PortDesk::bury(std::uint32_t group, const ports::PortOwner& owner) {
  if (groups_[group] == nullptr) return;
  // Of its leases the book is to hear before, and never after, when they may be others'. It may be attached still, as far
  // as is known here, and more than once.
  for (auto& [id, seat] : seats_) {
    const bool is_its = seat.client.group == group && !seat.has_left && is_same_process(seat.client.owner, owner);
    if (is_its) take_back_leases(seat);
  }
  groups_[group]->book().owner_died(owner, world_.now_ns());
  has_buried_ = true;
  publish(*groups_[group]);
  sweeper_.forget();
  if (groups_[group]->is_anything_held()) sweep_soon();
}

PortDesk::Seat* PortDesk::find(ClientId id) {
  const auto found = seats_.find(id);
  return found == seats_.end() ? nullptr : &found->second;
}

PortDesk::Seat* PortDesk::find_served(ClientId id) {
  auto* const seat = find(id);
  const bool is_served =
      seat != nullptr && !seat->has_left && !seat->is_offender && groups_[seat->client.group] != nullptr;
  return is_served ? seat : nullptr;
}

PortDesk::Seat* PortDesk::find_process(std::uint32_t group, const ports::PortOwner& owner) {
  for (auto& [id, seat] : seats_) {
    const bool is_it = seat.client.group == group && !seat.has_left && is_same_process(seat.client.owner, owner);
    if (is_it) return &seat;
  }
  return nullptr;
}

bool PortDesk::is_watched(std::uint32_t group, const ports::PortOwner& owner) const {
  return std::ranges::any_of(watched_, [&](const auto& each) {
    return each.second.group == group && is_same_process(each.second.owner, owner);
  });
}

bool PortDesk::has_ports(std::uint32_t group, const ports::PortOwner& owner) const {
  if (!groups_[group]->is_anything_held()) return false;
  const auto entries = groups_[group]->entries();
  return std::ranges::any_of(entries,
                             [&](const ports::PortEntry* each) { return is_same_process(each->owner, owner); });
}

}  // namespace tlsmux::engine
