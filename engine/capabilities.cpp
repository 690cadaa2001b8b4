#include "engine/capabilities.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace tlsmux::engine {
namespace {

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool read(Sets& sets) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capget, &header, sets.data()) == 0;
}

bool write(const Sets& sets) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

}  // namespace

std::uint64_t capabilities_in_effect() {
  Sets sets{};
  return read(sets) ? sets[0].effective | std::uint64_t{sets[1].effective} << 32 : 0;
}

std::expected<void, shm::SystemError> keep_capabilities(std::uint64_t kept) {
  Sets sets{};
  if (!read(sets)) return std::unexpected(shm::last_error("asking for capabilities"));
  bool is_more = false;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto left = sets[i].permitted & static_cast<std::uint32_t>(kept >> (32 * i));
    is_more = is_more || sets[i].effective != left || sets[i].permitted != left || sets[i].inheritable != 0;
    sets[i] = {.effective = left, .permitted = left, .inheritable = 0};
  }
  // Who has no more needs no leave of a container's to give it up. Ambient ones go with the inheritable ones.
  if (is_more && !write(sets)) return std::unexpected(shm::last_error("giving up capabilities"));
  if ((capabilities_in_effect() & ~kept) == 0) return {};
  return std::unexpected(shm::SystemError{.code = EPERM, .message = "capabilities could not be given up"});
}

}  // namespace tlsmux::engine
