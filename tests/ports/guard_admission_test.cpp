// Processes that are members by more than their real ids.

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"
#include "tests/ports/binder.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint16_t kPort = 2000;
constexpr const char* kService = "BANK";

std::string start_of(pid_t pid) { return stat_field(pid, 22); }

// A child with this pid, and its exit code; nothing if the kernel does not give it one. Its start is another than `start`.
std::optional<int> run_as_process(pid_t pid, const std::string& start, const std::function<int()>& run) {
  constexpr int kSameStart = 254;
  for (int code = kSameStart;;) {
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<std::uint64_t>(&pid);
    arguments.set_tid_size = 1;
    const auto child = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (child < 0) return std::nullopt;
    if (child == 0) ::_exit(start_of(::getpid()) == start ? kSameStart : run());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code != kSameStart) return code;
  }
}

}  // namespace

TEST_CASE("ports.guard admits a process until it is dismissed") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  Binder binder(rig);
  Binder other(rig);
  CHECK(binder.bind(kPort) == EACCES);
  REQUIRE(guard->admit(kService, binder.pid()));
  CHECK(binder.bind(kPort) == 0);
  CHECK(other.bind(kPort) == EACCES);
  guard->dismiss(kService, other.pid());
  CHECK(binder.bind(kPort) == 0);
  guard->dismiss(kService, binder.pid());
  CHECK(binder.bind(kPort) == EACCES);
}

TEST_CASE("ports.guard admits a process whose first thread has ended, and does not take it for dead later") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto rules = guarding({tcp(kPort)});
  auto guard = rig.put(rig.place(), rules);
  REQUIRE_MESSAGE(guard, guard.error());
  Binder binder(rig, kStrangerIdentity, Binder::FirstThread::has_ended);
  CHECK(binder.bind(kPort) == EACCES);
  const auto admitted = guard->admit(kService, binder.pid());
  REQUIRE_MESSAGE(admitted, admitted.error().message);
  CHECK(binder.bind(kPort) == 0);
  guard = rig.put(rig.place(), rules);  // forgets those that have ended
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(binder.bind(kPort) == 0);
}

TEST_CASE("ports.guard keeps admissions over changes of the rules and of the loader") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto rules = guarding({tcp(kPort)});
  auto guard = rig.put(rig.place(), rules);
  REQUIRE_MESSAGE(guard, guard.error());
  Binder binder(rig);
  REQUIRE(guard->admit(kService, binder.pid()));
  // The same service in another place, beside one that the process is no member of.
  rules.services.insert(rules.services.begin(),
                        {.name = "SHOP", .users = {}, .unix_groups = {}, .ports = {tcp(kPort + 1)}});
  REQUIRE(guard->set_rules(rules));
  CHECK(binder.bind(kPort) == 0);
  CHECK(binder.bind(kPort + 1) == EACCES);
  guard = rig.put(rig.place(), rules);
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(binder.bind(kPort) == 0);
  REQUIRE(guard->admit("SHOP", binder.pid()));
  CHECK(binder.bind(kPort + 1) == 0);
  guard->dismiss(kService, binder.pid());
  CHECK(binder.bind(kPort) == EACCES);
  CHECK(binder.bind(kPort + 1) == 0);
}

TEST_CASE("ports.guard takes a pid that is used again for a stranger's") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  const auto bind = [&] {
    rig.enter(kStrangerIdentity);
    return bind_socket(make_socket().get(), kPort);
  };
  Binder binder(rig);
  const auto pid = binder.pid();
  const auto start = start_of(pid);
  REQUIRE(guard->admit(kService, pid));
  CHECK(binder.bind(kPort) == 0);
  binder.end();

  const auto code = run_as_process(pid, start, bind);
  if (!code) {
    skip("the kernel does not give a process the pid that is asked for (CAP_CHECKPOINT_RESTORE)");
    return;
  }
  CHECK(*code == EACCES);
  const auto gone = guard->admit(kService, pid);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == ESRCH);

  // Who has the pid now is admitted, and then the one before is dismissed, as its death becomes known late.
  CHECK(run_as_process(pid, start, [&] {
          if (!guard->admit(kService, ::getpid())) return 1;
          guard->dismiss(kService, ::getpid());
          return bind();
        }) == 0);
}

TEST_CASE("ports.guard admits a process or finds that it has ended, at whatever moment it ends") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  void* const memory =
      ::mmap(nullptr, sizeof(std::atomic<pid_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& ending = *static_cast<std::atomic<pid_t>*>(memory);
  {
    const ChildProcess parent([&]() -> int {
      while (true) {
        const auto child = ::fork();
        if (child == 0) ::_exit(0);
        ending = child;
        ::waitpid(child, nullptr, 0);
      }
    });
    int ended = 0;
    while (ended < 500) {
      const auto pid = ending.load();
      if (pid <= 0) continue;
      const auto admitted = guard->admit(kService, pid);
      if (admitted) continue;
      REQUIRE(admitted.error().code == ESRCH);
      ++ended;
    }
  }
  ::munmap(memory, sizeof(std::atomic<pid_t>));
}

TEST_CASE("ports.guard admits nobody to a service that it does not have") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  const auto admitted = guard->admit("SHOP", ::getpid());
  REQUIRE_FALSE(admitted);
  CHECK(admitted.error().code == ENOENT);
}

}  // namespace tlsmux::test
