#pragma once

#include <string>

#include "engine/log/log.hpp"

namespace tlsmux::engine::broker {

// Logs why tlsmuxd cannot start, and tells it to who has typed the command, should the log go elsewhere than to standard
// error. `log_output` is the log's descriptor.
void report_start_failure(const std::string& why, int log_output, Log& log);

}  // namespace tlsmux::engine::broker
