#include "tests/ports/killed_at_call.hpp"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <doctest/doctest.h>

#include "tests/support/skip.hpp"

namespace tlsmux::test {

bool run_and_kill(int stop, const std::function<void()>& run, const std::function<void()>& look,
                  const std::function<bool(pid_t)>& counts) {
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 && ::raise(SIGSTOP) == 0) run();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  // Without the first of these `counts` could not ask which call it is (PTRACE_GET_SYSCALL_INFO).
  if (WIFSTOPPED(status)) {
    REQUIRE(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
  }
  for (int at = 0; at < stop && WIFSTOPPED(status);) {
    REQUIRE(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSTOPPED(status) && counts(child)) ++at;
  }
  if (!WIFSTOPPED(status)) {
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
    return false;
  }
  look();
  REQUIRE(::kill(child, SIGKILL) == 0);
  while (WIFSTOPPED(status)) REQUIRE(::waitpid(child, &status, 0) == child);
  return true;
}

bool skip_without_ptrace() {
  if (run_and_kill(0, [] {}, [] {})) return false;
  skip("needs ptrace, to stop a process at each of its system calls");
  return true;
}

}  // namespace tlsmux::test
