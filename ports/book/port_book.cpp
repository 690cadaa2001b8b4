#include "ports/book/port_book.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::ports {

using shm::PortState;

PortBook::PortBook(PortPlan plan) : plan_(std::move(plan)) {
  index_static_ports();
  for (const auto protocol : kProtocols) {
    for (const auto range : plan_.dynamic[index_of(protocol)].ranges()) {
      for (std::uint32_t number = range.from; number <= range.to; ++number) {
        pools_[index_of(protocol)].put(static_cast<std::uint16_t>(number), false);
      }
    }
  }
}

void PortBook::index_static_ports() {
  static_ports_.clear();
  static_labels_.clear();
  for (const auto& each : plan_.static_ports) {
    static_ports_.emplace(each.port, &each);
    static_labels_.emplace(std::pair{each.port.protocol, std::string_view(each.label)}, &each);
  }
}

const PortPlan::StaticPort* PortBook::find_static(Port port) const {
  const auto found = static_ports_.find(port);
  return found == static_ports_.end() ? nullptr : found->second;
}

// ---- Records ----

PortBook::Record* PortBook::record_of(Port port) {
  const auto found = records_.find(port);
  return found == records_.end() ? nullptr : &found->second;
}

const PortBook::Record* PortBook::record_of(Port port) const {
  const auto found = records_.find(port);
  return found == records_.end() ? nullptr : &found->second;
}

const PortEntry* PortBook::find(Port port) const {
  const auto* const record = record_of(port);
  return record == nullptr ? nullptr : &record->entry;
}

bool PortBook::is_dead(const Record& record) {
  const auto state = record.entry.state;
  return record.holder == PortHolders::kNobody && state != PortState::external && state != PortState::quarantine;
}

bool PortBook::is_unsettled(const Record& record) {
  return record.is_released || record.is_doubted || (is_dead(record) && record.entry.state != PortState::orphan);
}

std::uint8_t PortBook::flags_of(Port port) const {
  if (find_static(port) != nullptr) return shm::kPortStatic;
  return is_dynamic(port) ? 0 : shm::kPortGrandfathered;
}

// Before each change of an entry.
void PortBook::will_change(Port port) {
  const auto* const entry = find(port);
  before_.try_emplace(port, entry == nullptr ? std::nullopt : std::optional(*entry));
}

PortBook::Record& PortBook::enter(Port port, PortState state, const PortOwner& owner, std::uint64_t now_ns) {
  will_change(port);
  if (is_dynamic(port)) pools_[index_of(port.protocol)].take(port.number);
  auto& record = records_[port];
  TMX_ASSERT(record.entry.state == PortState::free);
  record.entry = {.port = port,
                  .state = state,
                  .flags = flags_of(port),
                  .owner = owner,
                  .label = {},
                  .socket_inode = 0,
                  .since_ns = now_ns,
                  .until_ns = 0};
  if (const auto* const fixed = find_static(port)) record.entry.label = fixed->label;
  record.changed_in = sweeps_begun_;
  return record;
}

void PortBook::set_state(Record& record, PortState state, std::uint64_t now_ns) {
  if (record.entry.state == state) return;
  will_change(record.entry.port);
  record.entry.state = state;
  record.entry.since_ns = now_ns;
  recount(record);
}

void PortBook::set_released(Record& record, bool is_released) {
  if (record.is_released == is_released) return;
  will_change(record.entry.port);
  record.is_released = is_released;
  record.entry.flags ^= shm::kPortReleased;
}

void PortBook::set_alarm(Record& record, std::uint64_t at_ns) {
  if (record.alarm_ns != 0) alarms_.erase({record.alarm_ns, record.entry.port});
  record.alarm_ns = at_ns;
  if (at_ns != 0) alarms_.emplace(at_ns, record.entry.port);
}

void PortBook::give_to(Record& record, PortHolders::Id holder) {
  if (record.holder == holder) return;
  const auto port = record.entry.port;
  if (record.holder != PortHolders::kNobody) holders_.remove(record.holder, port, record.share);
  record.holder = holder;
  record.share = share_of(record.entry);
  if (holder != PortHolders::kNobody) holders_.add(holder, port, record.share);
}

PortHolders::Share PortBook::share_of(const PortEntry& entry) {
  if ((entry.flags & shm::kPortStatic) != 0) return PortHolders::Share::fixed;
  return entry.state == PortState::leased ? PortHolders::Share::lease : PortHolders::Share::dynamic;
}

// Its state or its flags have changed.
void PortBook::recount(Record& record) {
  const auto share = share_of(record.entry);
  if (record.holder != PortHolders::kNobody) {
    holders_.change(record.holder, record.entry.port, record.share, share);
  }
  record.share = share;
}

// Nobody holds it any more.
void PortBook::quarantine(Record& record, std::uint64_t now_ns) {
  const auto port = record.entry.port;
  if (!is_dynamic(port) || plan_.reuse_delay_ns == 0) return erase(port);
  give_to(record, PortHolders::kNobody);
  set_state(record, PortState::quarantine, now_ns);
  will_change(port);
  record.entry.until_ns = now_ns + plan_.reuse_delay_ns;
  record.entry.socket_inode = 0;
  record.wanted_inode = 0;
  set_released(record, false);
  set_alarm(record, record.entry.until_ns);
}

void PortBook::erase(Port port) {
  will_change(port);
  auto& record = *record_of(port);
  give_to(record, PortHolders::kNobody);
  set_alarm(record, 0);
  records_.erase(port);
  put_into_pool(port);
  if (labels_.is_remembered(port)) relabelled_.insert(port);
}

void PortBook::put_into_pool(Port port) {
  if (is_dynamic(port)) pools_[index_of(port.protocol)].put(port.number, labels_.is_remembered(port));
}

// The label's port from now on.
void PortBook::label(Record& record, std::string_view text) {
  const auto port = record.entry.port;
  if (!is_dynamic(port) || text.empty()) return;
  will_change(port);
  record.entry.label = text;
  remember(port, text);
}

void PortBook::remember(Port port, std::string_view text) {
  for (const auto forgotten : labels_.remember(port, text)) {
    if (auto* const other = record_of(forgotten)) {
      will_change(forgotten);
      other->entry.label.clear();
    } else {
      put_into_pool(forgotten);
      relabelled_.insert(forgotten);
    }
  }
}

// Somebody else has it now.
void PortBook::unlabel(Record& record) {
  const auto port = record.entry.port;
  if (!is_dynamic(port) || record.entry.label.empty()) return;
  will_change(port);
  record.entry.label.clear();
  labels_.forget(port);
}

// ---- What processes do ----

PortBook::Record* PortBook::record_of(Port port, const PortOwner& owner) {
  auto* const record = record_of(port);
  const bool is_owners = record != nullptr && record->holder != PortHolders::kNobody && !record->is_on_offer &&
                         record->holder == holders_.find(owner);
  return is_owners ? record : nullptr;
}

bool PortBook::doubt(Port port, const PortOwner& owner) {
  auto* const record = record_of(port, owner);
  if (record == nullptr) return false;
  record->changed_in = sweeps_begun_;
  record->is_doubted = true;
  return true;
}

bool PortBook::release(Port port, const PortOwner& owner, bool in_use, std::uint64_t now_ns) {
  auto* const record = TMX_HAS_BUG(release_foreign) ? record_of(port) : record_of(port, owner);
  if (record == nullptr) return false;
  if (TMX_HAS_BUG(never_release)) return true;
  if (TMX_HAS_BUG(release_at_once)) {
    erase(port);
    return true;
  }
  record->changed_in = sweeps_begun_;
  // Where a socket of the owner's was seen, it may be that one that is in the way: the next sweep tells.
  if (!in_use || record->entry.socket_inode != 0) {
    // A lease that was held back has been taken, then.
    if (record->entry.state == PortState::leased) set_state(*record, PortState::claimed, now_ns);
    set_alarm(*record, 0);
    set_released(*record, true);
    record->is_doubted = in_use;
    return true;
  }
  will_change(port);
  set_alarm(*record, 0);
  give_to(*record, PortHolders::kNobody);
  set_state(*record, PortState::external, now_ns);
  unlabel(*record);
  record->entry.owner = {};
  record->entry.socket_inode = record->wanted_inode;
  set_released(*record, false);
  record->absences = 0;
  return true;
}

std::optional<std::uint16_t> PortBook::lease(Protocol protocol, const PortOwner& owner, std::uint64_t now_ns) {
  if (!PortHolders::is_known(owner)) return std::nullopt;
  auto& pool = pools_[index_of(protocol)];
  const auto holder = holders_.find(owner);
  const auto leases = holders_.leases(holder, protocol);
  const auto spare = pool.free_count() > plan_.free_min ? pool.free_count() - plan_.free_min : 0;
  if (leases >= plan_.leases_per_process || (leases + 1) * 4 > spare) return std::nullopt;
  if (has_its_fill({.kind = shm::PortClaimKind::dynamic, .protocol = protocol, .owner = owner})) return std::nullopt;
  const auto number = pool.take_unremembered();
  if (!number) return std::nullopt;
  auto& record = enter({.protocol = protocol, .number = *number}, PortState::leased, owner, now_ns);
  record.is_on_offer = true;
  give_to(record, holders_.enter(owner));
  return number;
}

void PortBook::lease_taken(Port port, std::uint64_t now_ns) {
  auto* const record = record_of(port);
  if (record == nullptr || !record->is_on_offer) return;
  record->is_on_offer = false;
  record->wanted_inode = 0;
  record->changed_in = sweeps_begun_;
  set_state(*record, PortState::claimed, now_ns);
  ++claims_;
}

void PortBook::lease_returned(Port port, std::uint64_t now_ns) {
  auto* const record = record_of(port);
  if (record == nullptr || !record->is_on_offer) return;
  if (record->wanted_inode == 0) return erase(port);
  // The owner has not taken it, and a socket is there.
  record->is_on_offer = false;
  will_change(port);
  give_to(*record, PortHolders::kNobody);
  set_state(*record, PortState::external, now_ns);
  record->entry.owner = {};
  record->entry.socket_inode = record->wanted_inode;
}

bool PortBook::is_scarce(Protocol protocol) const {
  return holders_.all_leases(protocol) != 0 && free_count(protocol) <= plan_.free_min;
}

void PortBook::owner_died(const PortOwner& owner, std::uint64_t /*now_ns*/) {
  for (const auto port : holders_.ports(holders_.find(owner))) {
    auto& record = *record_of(port);
    give_to(record, PortHolders::kNobody);
    set_alarm(record, 0);
    record.is_on_offer = false;
    record.changed_in = sweeps_begun_;
  }
}

std::uint64_t PortBook::expire(std::uint64_t now_ns) {
  while (!alarms_.empty() && alarms_.begin()->first <= now_ns) {
    auto& record = *record_of(alarms_.begin()->second);
    if (record.entry.state == PortState::quarantine) {
      erase(record.entry.port);
      continue;
    }
    // A lease of an earlier engine's: free it is only if the next sweep finds nothing.
    set_alarm(record, 0);
    set_released(record, true);
    record.changed_in = sweeps_begun_;
  }
  return alarms_.empty() ? 0 : alarms_.begin()->first;
}

std::uint32_t PortBook::free_count(Protocol protocol) const { return pools_[index_of(protocol)].free_count(); }

std::uint32_t PortBook::held_by(Protocol protocol, const PortOwner& owner) const {
  return holders_.dynamic(holders_.find(owner), protocol);
}

std::string_view PortBook::remembered_label(Port port) const {
  return record_of(port) == nullptr ? labels_.label_of(port) : std::string_view();
}

std::vector<Port> PortBook::take_changes() {
  std::vector<Port> changes;
  for (const auto& [port, before] : before_) {
    const auto* const entry = find(port);
    if (entry == nullptr ? !before.has_value() : before == *entry) continue;
    changes.push_back(port);
    relabelled_.erase(port);
  }
  changes.insert(changes.end(), relabelled_.begin(), relabelled_.end());
  before_.clear();
  relabelled_.clear();
  return changes;
}

}  // namespace tlsmux::ports
