#pragma once

#include <cstdint>
#include <string>

#include "client/cli/status_report.hpp"

namespace tlsmux::client::cli {

// For people. `now_s` is the time of day in seconds since 1970.
std::string status_text(const GroupStatus& status, std::int64_t now_s);

// For scripts: one JSON object, keys as the fields are named.
std::string status_json(const std::vector<GroupStatus>& groups);

}  // namespace tlsmux::client::cli
