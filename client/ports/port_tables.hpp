#pragma once

// What the group's port tables tell a member.

#include <cstdint>
#include <optional>
#include <string_view>

#include "ports/protocol.hpp"
#include "shm/group_part.hpp"

namespace tlsmux::client {

// The static port of this label, else the dynamic one that bears it now.
std::optional<std::uint16_t> find_port(const shm::GroupView& group, ports::Protocol protocol, std::string_view label);

bool has_dynamic_range(const shm::GroupView& group, ports::Protocol protocol);

}  // namespace tlsmux::client
