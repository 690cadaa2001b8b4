#include "client/cli/exit_code.hpp"

#include <cerrno>
#include <cstdlib>

namespace tlsmux::client::cli {

int exit_code_of_error(int error) {
  switch (std::abs(error)) {
    case EACCES:
    case EPERM:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case ETIMEDOUT:
    case EPROTO: return kExitNoEngine;
    case EINVAL: return kExitUsage;
    default: return kExitFailed;
  }
}

}  // namespace tlsmux::client::cli
