#pragma once

// Child processes of tests, and what they need.

#include <sys/types.h>

#include <functional>
#include <string>

#include "shm/system/unique_fd.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

inline constexpr uid_t kNobody = 65534;

// A forked child that runs a function and exits with what it returns. Killed and reaped with the object.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<int()>& run);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void send_signal(int signal) const;
  // Its exit code, or 128 + the signal that killed it. Fails the test when it has not ended after 20 seconds.
  int wait();

 private:
  pid_t pid_ = -1;
  shm::UniqueFd pidfd_;
};

// Whether `pid` has ended, waiting for it at most 20 seconds; it need not be a child.
bool wait_for_end(pid_t pid);

// For good, in a child: real, effective and saved ids, no supplementary groups.
bool become_user(uid_t uid);
// True when the test cannot run, having said so.
bool skip_without_root(const char* why);

// How many descriptors a process has open.
std::size_t descriptor_count(pid_t pid);

// A name for a group that no other test uses at the same time.
std::string unique_group();

}  // namespace tlsmux::test
