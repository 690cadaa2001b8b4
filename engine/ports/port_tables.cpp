#include "engine/ports/port_tables.hpp"

#include <cstring>

#include "ports/protocol.hpp"
#include "shm/assert.hpp"
#include "shm/control_protocol.hpp"
#include "shm/row.hpp"

namespace tlsmux::engine {
namespace {

// Rows have no padding: see layout.hpp.
template <typename Row>
void write_if_changed(Row& shared, const Row& row) {
  constexpr std::size_t kSequenceBytes = sizeof(shm::RowSequence);
  const auto* before = reinterpret_cast<const std::byte*>(&shared) + kSequenceBytes;
  const auto* after = reinterpret_cast<const std::byte*>(&row) + kSequenceBytes;
  if (std::memcmp(before, after, sizeof(Row) - kSequenceBytes) != 0) shm::write_row(shared, row);
}

std::uint8_t protocol_bits(ports::Protocol protocol) { return static_cast<std::uint8_t>(ports::bit_of(protocol)); }

}  // namespace

void PortTables::write_rules(const config::GroupSettings& group, const config::Membership& membership) {
  const auto rows = part_.port_rules();
  std::size_t next = 0;
  const auto add = [&](shm::PortConfigurationRow& row) {
    TMX_ASSERT(next < rows.size());
    shm::set_text(row.service, group.name);
    write_if_changed(rows[next++], row);
  };
  const auto add_account = [&](shm::PortRuleKind kind, std::uint32_t account) {
    shm::PortConfigurationRow row{};
    row.kind = kind;
    row.account = account;
    add(row);
  };
  for (const auto uid : membership.users) add_account(shm::PortRuleKind::user, uid);
  for (const auto gid : membership.groups) add_account(shm::PortRuleKind::unix_group, gid);
  for (const auto& port : group.ports.static_ports) {
    shm::PortConfigurationRow row{};
    row.kind = shm::PortRuleKind::static_port;
    row.from = row.to = port.port;
    row.protocols = ports::bits_of(port.protocol);
    shm::set_text(row.label, port.label);
    shm::set_text(row.program, port.program);
    add(row);
  }
  for (const auto& range : group.ports.dynamic) {
    shm::PortConfigurationRow row{};
    row.kind = shm::PortRuleKind::dynamic_range;
    row.from = range.from;
    row.to = range.to;
    row.protocols = ports::bits_of(range.protocols);
    add(row);
  }
  for (; next < rows.size(); ++next) write_if_changed(rows[next], shm::PortConfigurationRow{});
}

shm::PortRow* PortTables::row_of(ports::Port port) {
  auto place = rows_.find(port);
  if (place == rows_.end()) {
    if (!has_room()) return nullptr;
    auto number = used_;
    if (given_back_.empty()) {
      ++used_;
    } else {
      number = given_back_.back();
      given_back_.pop_back();
    }
    place = rows_.emplace(port, number).first;
  }
  return &part_.ports()[place->second];
}

void PortTables::write_label(ports::Port port, std::string_view label, std::string_view service) {
  auto* const shared = row_of(port);
  if (shared == nullptr) return;
  shm::PortRow row{};
  row.port = port.number;
  row.protocol = protocol_bits(port.protocol);
  shm::set_text(row.service, service);
  shm::set_text(row.label, label);
  write_if_changed(*shared, row);
}

void PortTables::write_port(const ports::PortEntry& entry, std::string_view service) {
  auto* const shared = row_of(entry.port);
  if (shared == nullptr) return;
  shm::PortRow row{};
  row.state = entry.state;
  row.port = entry.port.number;
  row.protocol = protocol_bits(entry.port.protocol);
  row.flags = entry.flags;
  row.pid = entry.owner.pid;
  row.uid = entry.owner.uid;
  row.client_id = entry.owner.client_id;
  row.pidfd_inode = entry.owner.pidfd_inode;
  row.socket_inode = entry.socket_inode;
  row.since_s = wall_s(entry.since_ns);
  row.until_s = entry.until_ns == 0 ? 0 : wall_s(entry.until_ns);
  row.until_ns = entry.until_ns;
  shm::set_text(row.program, entry.owner.program);
  shm::set_text(row.service, service);
  shm::set_text(row.label, entry.label);
  write_if_changed(*shared, row);
}

void PortTables::clear_port(ports::Port port) {
  const auto place = rows_.find(port);
  if (place == rows_.end()) return;
  shm::write_row(part_.ports()[place->second], shm::PortRow{});
  given_back_.push_back(place->second);
  rows_.erase(place);
}

void PortTables::add_denial(const ports::GuardEvent& event) {
  ++denials_;
  const auto rows = part_.port_denials();
  if (rows.empty()) return;
  shm::PortDenialRow row{};
  row.pid = event.pid;
  row.number = denials_;
  row.at_s = wall_s(event.at_ns);
  row.uid = event.uid;
  row.gid = event.gid;
  row.port = event.port.number;
  row.protocol = protocol_bits(event.port.protocol);
  shm::set_text(row.program, event.program);
  shm::write_row(rows[(denials_ - 1) % rows.size()], row);
}

void PortTables::write_summary(const shm::PortSummaryRow& row) {
  if (!part_.port_summaries().empty()) write_if_changed(part_.port_summaries().front(), row);
}

}  // namespace tlsmux::engine
