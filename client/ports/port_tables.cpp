#include "client/ports/port_tables.hpp"

#include "shm/control_protocol.hpp"
#include "shm/row.hpp"

namespace tlsmux::client {
namespace {

bool is_held(shm::PortState state) {
  return state == shm::PortState::claimed || state == shm::PortState::bound || state == shm::PortState::orphan;
}

// The tables are long and mostly empty: a look at one word before a row is copied.
bool seems_held(const shm::PortRow& row) {
  return is_held(std::atomic_ref(const_cast<shm::PortState&>(row.state)).load(std::memory_order_relaxed));
}

template <typename Matches>
std::optional<std::uint16_t> find_rule(const shm::GroupView& group, Matches matches) {
  shm::PortConfigurationRow row{};
  for (std::uint32_t i = 0; i < group.port_rules().size(); ++i) {
    if (shm::read_row(group.port_rules()[i], row) && matches(row)) return row.from;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint16_t> find_port(const shm::GroupView& group, ports::Protocol protocol, std::string_view label) {
  const auto bit = ports::bit_of(protocol);
  const auto fixed = find_rule(group, [&](const shm::PortConfigurationRow& row) {
    return row.kind == shm::PortRuleKind::static_port && (row.protocols & bit) != 0 && shm::text_of(row.label) == label;
  });
  if (fixed) return fixed;
  shm::PortRow row{};
  for (std::uint32_t i = 0; i < group.ports().size(); ++i) {
    if (!seems_held(group.ports()[i]) || !shm::read_row(group.ports()[i], row)) continue;
    if (is_held(row.state) && row.protocol == bit && shm::text_of(row.label) == label) return row.port;
  }
  return std::nullopt;
}

bool has_dynamic_range(const shm::GroupView& group, ports::Protocol protocol) {
  const auto bit = ports::bit_of(protocol);
  return find_rule(group,
                   [&](const shm::PortConfigurationRow& row) {
                     return row.kind == shm::PortRuleKind::dynamic_range && (row.protocols & bit) != 0;
                   })
      .has_value();
}

}  // namespace tlsmux::client
