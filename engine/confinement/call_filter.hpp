#pragma once

// Call rules as a filter of the kernel's (seccomp). Owns libseccomp.

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "engine/confinement/call_rules.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::confinement {

// A filter, ready for any number of threads. Thread-safe once made.
class CallFilter {
 public:
  // Names that this machine's processor does not have are left out. An error if the library fails.
  static std::expected<CallFilter, shm::SystemError> make(const CallRules& rules);
  CallFilter(CallFilter&&) noexcept;
  CallFilter& operator=(CallFilter&&) noexcept;
  ~CallFilter();

  // For the calling thread and those that it starts later, for good. Needs no_new_privs. No allocation.
  [[nodiscard]] std::expected<void, shm::SystemError> enter() const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;

  explicit CallFilter(std::unique_ptr<const Program> program);
};

// Whether the kernel can trap calls.
bool kernel_filters_calls();

// Of the native architecture; negative if it has none, or neither the library nor we know it.
int number_of_call(std::string_view name);

// Of the native architecture; empty if neither the library nor we know it. Allocates: not for signal handlers.
std::string name_of_call(int number);

}  // namespace tlsmux::engine::confinement
