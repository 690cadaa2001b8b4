#pragma once

// Tells a forked child from the process that made the guard, without a system call: one page that the kernel hands to
// the child zeroed (MADV_WIPEONFORK).

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>

#include "shm/system/system_error.hpp"

namespace tlsmux::client {

class ForkGuard {
 public:
  static std::expected<std::shared_ptr<const ForkGuard>, shm::SystemError> create();

  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
  ~ForkGuard();

  // Any thread.
  [[nodiscard]] bool in_child() const { return std::atomic_ref(*flag_).load(std::memory_order_relaxed) == 0; }

 private:
  explicit ForkGuard(std::uint32_t* flag) : flag_(flag) {}

  std::uint32_t* flag_;
};

}  // namespace tlsmux::client
