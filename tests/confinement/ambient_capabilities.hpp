#pragma once

// As a service manager starts a program with AmbientCapabilities=, or within a CapabilityBoundingSet=.

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <initializer_list>

#include "tests/broker/process.hpp"

namespace tlsmux::test {

// Of root, for good: this user, with these capabilities in all sets; programs that it executes have them too.
inline bool become_user_with(uid_t uid, std::initializer_list<int> capabilities) {
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (const int capability : capabilities) {
    const auto bit = std::uint32_t{1} << (capability % 32);
    auto& set = sets[static_cast<std::size_t>(capability / 32)];
    set.effective |= bit;
    set.permitted |= bit;
    set.inheritable |= bit;
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || !become_user(uid)) return false;
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return false;
  for (const int capability : capabilities) {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return false;
  }
  return true;
}

// Of root, for good: what it executes will not have these.
inline bool withhold(std::initializer_list<int> capabilities) {
  for (const int capability : capabilities) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
  }
  return true;
}

}  // namespace tlsmux::test
