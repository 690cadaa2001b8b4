#include "engine/log/standard_error.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace tlsmux::engine {

bool is_standard_error(int descriptor) {
  struct stat log{};
  struct stat standard_error{};
  return ::fstat(descriptor, &log) == 0 && ::fstat(STDERR_FILENO, &standard_error) == 0 &&
         log.st_dev == standard_error.st_dev && log.st_ino == standard_error.st_ino;
}

}  // namespace tlsmux::engine
