#pragma once

// The rules as the guard's programs read them.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ports/guard.hpp"
#include "ports/guard/port_guard.h"

namespace tlsmux::ports {

// Keys and values, side by side.
struct GuardRuleTable {
  std::vector<GuardRuleKey> keys;
  std::vector<GuardRule> values;
};

// The same for a name in all rules, versions and processes.
std::uint64_t service_id(std::string_view name);

// An error in words: a port of two services, a service that is there twice.
std::expected<GuardRuleTable, std::string> make_table(const GuardRules& rules);

// All at once, by one pointer in the map of rules. When it returns no program judges by the old ones any more. Needs
// CAP_BPF.
std::expected<void, std::string> put_in_force(int rules_map, const GuardRuleTable& table);

}  // namespace tlsmux::ports
