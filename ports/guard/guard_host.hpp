#pragma once

// Whether this machine and process can have a guard, and what it is attached to.

#include <cstdint>
#include <expected>
#include <string>

#include "ports/guard.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

struct GuardHost {
  std::string cgroup;  // its folder
  shm::UniqueFd cgroup_folder;
  std::uint64_t cgroup_id = 0;
  std::uint64_t network_cookie = 0;  // of the calling thread's network namespace
};

// What is missing, in words that say what to do.
std::expected<GuardHost, std::string> examine_host(const GuardPlace& place);

// Whether there is a bpffs; without one there is no guard.
bool is_bpffs(const std::string& folder);

// "6.1.0", of the running kernel.
std::string kernel_release();

}  // namespace tlsmux::ports
