#include "engine/memory_lock.hpp"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>

#include "engine/capabilities.hpp"

namespace tlsmux::engine {
namespace {

constexpr const char* kAdvice =
    ": set LimitMEMLOCK=infinity in the service's unit, --ulimit memlock=-1 for the container, or ulimit -l unlimited, "
    "or let tlsmuxd "
    "have CAP_SYS_RESOURCE";

// Root may keep it where CAP_SYS_RESOURCE, with which the broker lifts the limit, is missing, as in a container.
bool has_no_limit(const rlimit& limit) {
  return limit.rlim_cur == RLIM_INFINITY || (capabilities_in_effect() & capability_bit(CAP_IPC_LOCK)) != 0;
}

}  // namespace

std::expected<void, shm::SystemError> lock_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    return std::unexpected(shm::last_error("asking how much memory may be locked"));
  }
  if (!has_no_limit(limit)) {
    return std::unexpected(shm::SystemError{
        .code = EPERM,
        .message = "the limit of locked memory is " + std::to_string(limit.rlim_cur) + " bytes" + kAdvice});
  }
  // Without MCL_ONFAULT each thread's whole stack would become memory.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    auto error = shm::last_error("locking memory");
    error.message += kAdvice;
    return std::unexpected(std::move(error));
  }
  return {};
}

}  // namespace tlsmux::engine
