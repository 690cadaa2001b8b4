#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/ports_report.hpp"

namespace tlsmux::client::cli {

// For people. `now_s` is the time of day in seconds since 1970.
std::string ports_text(const PortsReport& report, std::int64_t now_s);

// For scripts: one JSON object, on lines of its own or on a single one.
enum class JsonLines : std::uint8_t { many, one };
std::string ports_json(const std::vector<PortsReport>& groups, JsonLines lines);

}  // namespace tlsmux::client::cli
