#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace tlsmux::shm {

// What the kernel refused: the errno, and a sentence that names the thing it was refused for.
struct SystemError {
  int code = 0;
  std::string message;
};

// Call right after the failure, before anything else sets errno.
inline SystemError last_error(std::string_view doing_what) {
  const int code = errno;
  return {.code = code, .message = std::string(doing_what) + ": " + std::strerror(code)};
}

}  // namespace tlsmux::shm
