// What the kernel says of sockets, and what becomes of ports by it.
#include <algorithm>

#include "ports/book/port_book.hpp"

namespace tlsmux::ports {

using shm::PortState;

void PortBook::begin_sweep() { ++sweeps_begun_; }

void PortBook::finish_sweep(std::span<const HeldPort> held, std::uint64_t now_ns) {
  std::map<Port, std::vector<const HeldPort*>> sights;
  for (const auto& each : held) {
    if (!each.is_time_wait) sights[each.port].push_back(&each);
  }
  std::vector<Port> known;
  known.reserve(records_.size());
  for (const auto& [port, record] : records_) known.push_back(port);
  for (const auto port : known) {
    auto& record = *record_of(port);
    if (record.changed_in >= sweeps_begun_) continue;
    const auto found = sights.find(port);
    if (found == sights.end()) {
      absent(record, now_ns);
    } else {
      present(record, found->second, now_ns);
    }
  }
  for (const auto& [port, there] : sights) {
    if (record_of(port) != nullptr || !is_planned(port)) continue;
    auto& record = enter(port, PortState::external, {}, now_ns);
    const auto named = std::ranges::find_if(there, [](const auto* each) { return each->owner.has_value(); });
    hand_over(record, named == there.end() ? *there.front() : **named, now_ns);
  }
}

void PortBook::absent(Record& record, std::uint64_t now_ns) {
  const bool is_kept = record.holder != PortHolders::kNobody && !record.is_released;
  const bool is_absent_long = ++record.absences >= kSweepsToBelieve;
  record.wanted_inode = 0;
  record.is_doubted = false;
  switch (record.entry.state) {
    case PortState::free:
    case PortState::quarantine: return;
    case PortState::leased:
      if (!is_kept) erase(record.entry.port);
      return;
    case PortState::external:
      if (is_absent_long) erase(record.entry.port);
      return;
    case PortState::claimed:
    case PortState::bound:
    case PortState::orphan: break;
  }
  if (!is_kept) return quarantine(record, now_ns);
  if (record.entry.state == PortState::claimed) return;
  if ((record.entry.flags & shm::kPortEngine) != 0) {
    set_state(record, PortState::claimed, now_ns);
    record.entry.socket_inode = 0;
    return;
  }
  if (is_absent_long) quarantine(record, now_ns);
}

void PortBook::present(Record& record, Sights sights, std::uint64_t now_ns) {
  record.absences = 0;
  if (record.is_on_offer) {
    // Its client has taken it and not told yet, or somebody else is there: what becomes of the lease will tell.
    record.wanted_inode = sights.front()->socket_inode;
  } else if (record.holder != PortHolders::kNobody) {
    present_with_owner(record, sights, now_ns);
  } else {
    present_without_owner(record, sights, now_ns);
  }
}

// Whether it is the owner's socket. What is another's only by its user's number may still be the owner's, by a
// descriptor that was passed or a program with another effective user; then its holder is wanted.
void PortBook::present_with_owner(Record& record, Sights sights, std::uint64_t now_ns) {
  const auto known_inode = record.entry.socket_inode;
  const auto is_named = [&](const auto* each) { return each->owner && holders_.find(*each->owner) == record.holder; };
  const bool is_known = known_inode != 0 && (record.is_inode_proven || !record.is_doubted);
  const auto own = std::ranges::find_if(
      sights, [&](const auto* each) { return (is_known && each->socket_inode == known_inode) || is_named(each); });
  if (own != sights.end()) return confirm(record, **own, is_named(*own), now_ns);
  const auto other = std::ranges::find_if(sights, [](const auto* each) { return each->owner.has_value(); });
  if (other != sights.end()) {
    record.wanted_inode = 0;
    // Who has claimed it and cannot bind it will say so.
    if (record.entry.state == PortState::bound || record.is_released || record.is_doubted)
      hand_over(record, **other, now_ns);
    return;
  }
  const auto likely =
      std::ranges::find_if(sights, [&](const auto* each) { return each->uid == record.entry.owner.uid; });
  if (known_inode == 0 && !record.is_doubted && likely != sights.end()) {
    // Of a lease that is held back this is not said: another's socket that is closed soon would end it, and its owner may
    // take it still. What is there when it is over is the owner's.
    if (record.entry.state == PortState::leased && !record.is_released) return;
    return confirm(record, **likely, false, now_ns);
  }
  record.wanted_inode = sights.front()->socket_inode;
}

void PortBook::present_without_owner(Record& record, Sights sights, std::uint64_t now_ns) {
  const auto state = record.entry.state;
  const auto named = std::ranges::find_if(sights, [](const auto* each) { return each->owner.has_value(); });
  if (named != sights.end()) return hand_over(record, **named, now_ns);
  const auto known_inode = record.entry.socket_inode;
  const auto same = std::ranges::find_if(sights, [&](const auto* each) { return each->socket_inode == known_inode; });
  const auto& sight = same == sights.end() ? *sights.front() : **same;
  if (state == PortState::quarantine) return hand_over(record, sight, now_ns);
  if (state == PortState::external) {
    if (same == sights.end()) hand_over(record, sight, now_ns);
    return;
  }
  set_state(record, PortState::orphan, now_ns);
  will_change(record.entry.port);
  record.entry.socket_inode = sight.socket_inode;
  record.wanted_inode = sight.socket_inode;
}

void PortBook::confirm(Record& record, const HeldPort& sight, bool is_proven, std::uint64_t now_ns) {
  if (record.entry.state == PortState::leased) set_released(record, false);  // a held back one, taken in time
  const bool is_same_socket = record.entry.socket_inode == sight.socket_inode;
  record.is_inode_proven = is_proven || (record.is_inode_proven && is_same_socket);
  record.is_doubted = false;
  set_alarm(record, 0);
  set_state(record, PortState::bound, now_ns);
  record.wanted_inode = 0;
  if (is_same_socket) return;
  will_change(record.entry.port);
  record.entry.socket_inode = sight.socket_inode;
}

// The socket is not its owner's, as far as there is one: from now on it is the member's who has it, or nobody's.
void PortBook::hand_over(Record& record, const HeldPort& sight, std::uint64_t now_ns) {
  if (sight.owner && sight.is_member && PortHolders::is_known(*sight.owner)) {
    observe(record, *sight.owner, now_ns);
  } else {
    will_change(record.entry.port);
    set_alarm(record, 0);
    give_to(record, PortHolders::kNobody);
    set_state(record, PortState::external, now_ns);
    unlabel(record);
    record.entry.flags &= static_cast<std::uint8_t>(~(shm::kPortEngine | shm::kPortObserved));
    record.entry.until_ns = 0;
    record.entry.owner = sight.owner.value_or(PortOwner{});
    if (!sight.owner) record.entry.owner.uid = sight.uid;
    set_released(record, false);
    record.is_doubted = false;
    record.absences = 0;
  }
  record.is_inode_proven = sight.owner.has_value();
  record.entry.socket_inode = sight.socket_inode;
  record.wanted_inode = sight.owner ? 0 : sight.socket_inode;
}

void PortBook::observe(Record& record, const PortOwner& owner, std::uint64_t now_ns) {
  will_change(record.entry.port);
  // A child that has inherited a claimed port is no stranger to it.
  const bool is_heir = record.entry.state == PortState::orphan || is_dead(record);
  set_alarm(record, 0);
  give_to(record, PortHolders::kNobody);
  set_state(record, PortState::bound, now_ns);
  record.entry.owner = owner;
  record.entry.until_ns = 0;
  record.entry.flags &= static_cast<std::uint8_t>(~shm::kPortEngine);
  if (!is_heir) {
    record.entry.flags |= shm::kPortObserved;
    unlabel(record);
  }
  give_to(record, holders_.enter(owner));
  set_released(record, false);
  record.is_doubted = false;
  record.absences = 0;
  record.wanted_inode = 0;
}

void PortBook::bind_seen(Port port, const PortOwner& owner, std::uint64_t bound_ns, std::uint64_t now_ns) {
  auto* record = record_of(port);
  if (!PortHolders::is_known(owner) || (record == nullptr && !is_planned(port))) return;
  if (record == nullptr) {
    record = &enter(port, PortState::external, owner, now_ns);
    observe(*record, owner, now_ns);
    return;
  }
  if (record->is_on_offer || bound_ns < record->granted_ns) return;
  record->changed_in = sweeps_begun_;
  const bool is_held = record->holder != PortHolders::kNobody;
  if (is_held && record->holder == holders_.find(owner)) {
    if (record->entry.state == PortState::leased) set_released(*record, false);
    set_alarm(*record, 0);
    set_state(*record, PortState::bound, now_ns);
    record->absences = 0;
  } else if (!is_held || record->is_released) {
    observe(*record, owner, now_ns);
    record->entry.socket_inode = 0;
  }
}

std::vector<std::uint64_t> PortBook::inodes_without_owner() const {
  std::vector<std::uint64_t> inodes;
  for (const auto& [port, record] : records_) {
    if (record.wanted_inode != 0) inodes.push_back(record.wanted_inode);
  }
  return inodes;
}

bool PortBook::wants_sweep() const {
  return std::ranges::any_of(records_, [](const auto& each) {
    const auto& record = each.second;
    if (record.entry.state == PortState::leased) return is_unsettled(record);
    return record.entry.state != PortState::quarantine;
  });
}

}  // namespace tlsmux::ports
