// Other settings, or another engine: what is held goes over.
#include <algorithm>

#include "ports/book/port_book.hpp"

namespace tlsmux::ports {

using shm::PortState;

void PortBook::replan(PortPlan plan, std::uint64_t now_ns) {
  plan_ = std::move(plan);
  index_static_ports();
  for (const auto port : labels_.ports()) {
    if (is_dynamic(port)) continue;
    labels_.forget(port);
    // Nor does the table go on saying so: the next engine believes it.
    if (auto* const record = record_of(port)) {
      will_change(port);
      record->entry.label.clear();
    } else {
      relabelled_.insert(port);
    }
  }
  std::vector<Port> known;
  for (const auto& [port, record] : records_) known.push_back(port);
  for (const auto port : known) replan_one(*record_of(port), now_ns);
  // The pools as they are to be, without moving their cursors.
  for (const auto protocol : kProtocols) {
    auto& pool = pools_[index_of(protocol)];
    for (std::uint32_t each = 0; each <= 65535; ++each) {
      const Port port{.protocol = protocol, .number = static_cast<std::uint16_t>(each)};
      const bool is_free = is_dynamic(port) && record_of(port) == nullptr;
      if (is_free == pool.is_free(port.number)) continue;
      if (is_free) {
        put_into_pool(port);
      } else {
        pool.take(port.number);
      }
    }
  }
}

void PortBook::replan_one(Record& record, std::uint64_t now_ns) {
  const auto port = record.entry.port;
  const auto state = record.entry.state;
  if (state == PortState::quarantine && !is_dynamic(port)) return erase(port);
  if (state == PortState::external && !is_planned(port)) return erase(port);
  if (state == PortState::quarantine) {
    // A delay that has become shorter holds for what is waiting already.
    const auto until = std::min(record.entry.until_ns, now_ns + plan_.reuse_delay_ns);
    if (until != record.entry.until_ns) {
      will_change(port);
      record.entry.until_ns = until;
      set_alarm(record, until);
    }
  }
  constexpr std::uint8_t kByPlan = shm::kPortStatic | shm::kPortGrandfathered;
  const auto flags = static_cast<std::uint8_t>((record.entry.flags & ~kByPlan) | flags_of(port));
  const bool was_static = (record.entry.flags & shm::kPortStatic) != 0;
  const auto* const fixed = find_static(port);
  if (flags == record.entry.flags && (fixed == nullptr || fixed->label == record.entry.label)) return;
  will_change(port);
  record.entry.flags = flags;
  if (fixed != nullptr) {
    record.entry.label = fixed->label;
  } else if (was_static) {
    record.entry.label.clear();
  }
  recount(record);
}

void PortBook::adopt(std::span<const PortEntry> entries, std::uint64_t trust_ns, std::uint64_t now_ns) {
  // Labels of free ports first: where one is in use as well, it is where that is.
  for (const auto& entry : entries) {
    if (entry.state == PortState::free) adopt_label(entry);
  }
  for (const auto& entry : entries) {
    if (entry.port.number != 0 && record_of(entry.port) == nullptr) adopt_one(entry, trust_ns, now_ns);
  }
}

void PortBook::adopt_label(const PortEntry& entry) {
  if (!is_dynamic(entry.port) || entry.label.empty()) return;
  remember(entry.port, entry.label);
  put_into_pool(entry.port);
  relabelled_.insert(entry.port);
}

void PortBook::adopt_one(const PortEntry& entry, std::uint64_t trust_ns, std::uint64_t now_ns) {
  const auto port = entry.port;
  const bool is_engine = (entry.flags & shm::kPortEngine) != 0;
  switch (entry.state) {
    case PortState::leased:
    case PortState::claimed:
    case PortState::bound:
    case PortState::orphan: break;
    case PortState::quarantine:
      if (!is_dynamic(port) || plan_.reuse_delay_ns == 0) return;
      break;
    case PortState::external:
      if (!is_planned(port)) return;
      break;
    default: return;
  }
  auto& record = enter(port, entry.state, entry.owner, now_ns);
  record.entry.flags |= static_cast<std::uint8_t>(entry.flags & shm::kPortObserved);
  record.entry.socket_inode = entry.socket_inode;
  record.entry.since_ns = entry.since_ns;
  label(record, entry.label);
  switch (entry.state) {
    case PortState::quarantine:
      record.entry.until_ns = std::min(entry.until_ns, now_ns + plan_.reuse_delay_ns);
      set_alarm(record, std::max<std::uint64_t>(record.entry.until_ns, 1));
      return;
    case PortState::leased: set_alarm(record, now_ns + trust_ns); [[fallthrough]];
    case PortState::claimed:
      if (entry.state == PortState::claimed) record.granted_ns = std::min(entry.since_ns, now_ns);
      [[fallthrough]];
    case PortState::bound:
      // The sockets of an engine have ended with it.
      if (!is_engine && PortHolders::is_known(entry.owner)) give_to(record, holders_.enter(entry.owner));
      set_released(record, entry.state != PortState::leased && (entry.flags & shm::kPortReleased) != 0);
      return;
    default: record.wanted_inode = entry.socket_inode; return;
  }
}

}  // namespace tlsmux::ports
