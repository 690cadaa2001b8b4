#include "engine/broker/start_failure.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <tuple>

namespace tlsmux::engine::broker {
namespace {

bool is_standard_error(int descriptor) {
  struct stat log{};
  struct stat standard_error{};
  return ::fstat(descriptor, &log) == 0 && ::fstat(STDERR_FILENO, &standard_error) == 0 &&
         log.st_dev == standard_error.st_dev && log.st_ino == standard_error.st_ino;
}

}  // namespace

void report_start_failure(const std::string& why, int log_output, Log& log) {
  log.error("cannot_start", {{"error", why}});
  if (!is_standard_error(log_output)) std::ignore = std::fprintf(stderr, "tlsmuxd: cannot start: %s\n", why.c_str());
}

}  // namespace tlsmux::engine::broker
