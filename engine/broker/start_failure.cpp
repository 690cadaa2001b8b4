#include "engine/broker/start_failure.hpp"

#include <cstdio>
#include <tuple>

#include "engine/log/standard_error.hpp"

namespace tlsmux::engine::broker {

void report_start_failure(const std::string& why, int log_output, Log& log) {
  log.error("cannot_start", {{"error", why}});
  if (!is_standard_error(log_output)) std::ignore = std::fprintf(stderr, "tlsmuxd: cannot start: %s\n", why.c_str());
}

}  // namespace tlsmux::engine::broker
