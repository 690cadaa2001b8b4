#include "tests/broker/process.hpp"

#include <grp.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <tuple>

#include <doctest/doctest.h>

#include "shm/system/pidfd.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr int kPatienceMs = 20'000;

bool readable(int fd) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, kPatienceMs) > 0;
}

}  // namespace

ChildProcess::ChildProcess(const std::function<int()>& run) {
  REQUIRE(std::fflush(nullptr) == 0);
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    // Not doctest's, which would report the end of a child as that of the test.
    for (const int signal : {SIGABRT, SIGSEGV, SIGTERM, SIGINT}) std::ignore = ::signal(signal, SIG_DFL);
    std::_Exit(run());
  }
  pidfd_ = shm::open_pidfd(pid_);
  REQUIRE(pidfd_);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::send_signal(int signal) const { REQUIRE(::kill(pid_, signal) == 0); }

int ChildProcess::wait() {
  REQUIRE_MESSAGE(readable(pidfd_.get()), "a process does not end");
  int status = 0;
  REQUIRE(::waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool wait_for_end(pid_t pid) {
  const auto pidfd = shm::open_pidfd(pid);
  return !pidfd || readable(pidfd.get());
}

bool become_user(uid_t uid) {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(uid, uid, uid) == 0 && ::setresuid(uid, uid, uid) == 0;
}

bool skip_without_root(const char* why) {
  if (::geteuid() == 0) return false;
  skip("needs root: " + std::string(why));
  return true;
}

std::size_t descriptor_count(pid_t pid) {
  const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::string unique_group() {
  static std::atomic<int> count = 0;
  return "TEST-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

}  // namespace tlsmux::test
