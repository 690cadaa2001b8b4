#pragma once

// A process that binds a port when it is told to.

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"

namespace tlsmux::test {

// proc(5), /proc/PID/stat; from the third on.
inline std::string stat_field(pid_t pid, int wanted) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator(file), {}};
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int number = 3; number <= wanted; ++number) fields >> field;
  return field;
}

class Binder {
 public:
  enum class FirstThread { binds, has_ended };

  // Of that user, in the rig's cgroup and namespace.
  explicit Binder(const GuardRig& rig, const Identity& who = kStrangerIdentity,
                  FirstThread first_thread = FirstThread::binds)
      : orders_(make_pipe()), answers_(make_pipe()), process_([&] {
          if (first_thread == FirstThread::has_ended) run_without_first_thread(rig, who);
          return run(rig, who);
        }) {}

  // The errno, or 0.
  int bind(std::uint16_t port) {
    REQUIRE(::write(orders_[1].get(), &port, sizeof port) == sizeof port);
    int error = -1;
    REQUIRE(::read(answers_[0].get(), &error, sizeof error) == sizeof error);
    return error;
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  void end() {
    orders_[1].reset();
    process_.wait();
  }

 private:
  using Pipe = std::array<shm::UniqueFd, 2>;
  static Pipe make_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
  }
  int run(const GuardRig& rig, const Identity& who) {
    orders_[1].reset();
    rig.enter(who);
    std::uint16_t port = 0;
    while (::read(orders_[0].get(), &port, sizeof port) == sizeof port) {
      const int error = bind_socket(make_socket().get(), port);
      if (::write(answers_[1].get(), &error, sizeof error) != sizeof error) return 1;
    }
    return 0;
  }
  [[noreturn]] void run_without_first_thread(const GuardRig& rig, const Identity& who) {
    std::thread([&] {
      while (stat_field(::getpid(), 3) != "Z") ::sched_yield();
      ::_exit(run(rig, who));
    }).detach();
    ::syscall(SYS_exit, 0);  // the thread alone
    std::abort();
  }

  Pipe orders_;
  Pipe answers_;
  ChildProcess process_;
};

}  // namespace tlsmux::test
