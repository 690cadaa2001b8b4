// What `tlsmuxd --selftest` tells whoever has to find out why it does not start.

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/confinement/file_rules.hpp"
#include "engine/self_test.hpp"
#include "tests/broker/process.hpp"
#include "tests/confinement/ambient_capabilities.hpp"
#include "tests/confinement/forbidden_call.hpp"
#include "tests/confinement/sanitizer.hpp"

namespace tlsmux::test {
namespace {

constexpr int kNotStarted = 99;

struct Report {
  int code = 0;
  std::string text;
};

// `prepare` runs in the process that becomes tlsmuxd.
Report self_test(const std::function<bool()>& prepare, const std::string& config = {}) {
  const TemporaryFolder folder;
  const auto output = folder.add("output", "");
  ChildProcess child([&] {
    const int file = ::open(output.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0 || ::dup2(file, STDOUT_FILENO) < 0 || ::dup2(file, STDERR_FILENO) < 0 || !prepare())
      return kNotStarted;
    const char* const path = config.empty() ? nullptr : config.c_str();
    return ::execl(TLSMUX_PROGRAM_FOLDER "/tlsmuxd", "tlsmuxd", "--selftest", path, nullptr);
  });
  Report report{.code = child.wait(), .text = {}};
  std::ifstream file(output);
  std::ostringstream text;
  text << file.rdbuf();
  report.text = text.str();
  return report;
}

// As whom nothing else runs: what a ring locks counts for all processes of a user.
bool is_nobody() {
  constexpr uid_t kFirst = 1'000'000;
  return ::getuid() != 0 || become_user(kFirst + static_cast<uid_t>(::getpid()));
}

std::vector<std::string> lines_with(const std::string& text, std::string_view start) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(start)) found.push_back(line);
  }
  return found;
}

bool has_line(const Report& report, const std::string& start) { return !lines_with(report.text, start).empty(); }

std::string config_of(const std::string& engine) {
  return "{" + engine + R"(, "groups": [{"name": "A", "users": ["0"]}],
         "upstreams": [{"name": "u", "groups": ["A"], "endpoints": ["127.0.0.1:1"],
                        "correlation": {"kind": "fifo"}, "tls": {"verify_peer": false}}]})";
}

constexpr int kLines = 11;

}  // namespace

TEST_CASE("engine.tlsmuxd --selftest says what is in force, a line each") {
  if (skip_with_sanitizer()) return;
  const auto report = self_test(is_nobody);
  INFO(report.text);
  CHECK(lines_with(report.text, "").size() == kLines);
  // Limits are the machine's, rights those of who runs this.
  for (const std::string what : {"open files: ", "room for tables in /dev/shm", "all memory locked",
                                 "becoming the engine's user, and stopping it"}) {
    CHECK_MESSAGE(has_line(report, "yes      " + what) != has_line(report, "NO       " + what), what);
  }
  for (const auto* what :
       {"a user without rights: uid ", "no new privileges", "no core dumps", "system calls of the broker (seccomp)",
        "system calls of the engine (seccomp)", "io_uring, restricted"}) {
    CHECK_MESSAGE(has_line(report, "yes      " + std::string(what)), what);
  }
  const bool has_landlock = engine::confinement::kernel_landlock_version() > 0;
  CHECK(has_line(report, "yes      files of the engine (Landlock): version ") == has_landlock);
  CHECK(has_line(report, "NO       files of the engine (Landlock): ") != has_landlock);
  CHECK(report.code == (lines_with(report.text, "NO ").empty() ? 0 : engine::kExitNotInForce));
}

TEST_CASE("engine.tlsmuxd --selftest judges as the engine's user, not as root") {
  if (skip_with_sanitizer() || skip_without_root("it becomes another user")) return;
  const TemporaryFolder folder;
  const auto config = folder.add("nobody.json", config_of(R"("engine": {"user": "nobody"})"));
  const auto as_nobody = self_test([] { return true; }, config);
  INFO(as_nobody.text);
  CHECK(lines_with(as_nobody.text, "").size() == kLines);
  CHECK(has_line(as_nobody, "yes      becoming the engine's user, and stopping it"));
  CHECK(lines_with(as_nobody.text, "yes      a user without rights: uid 65534") ==
        std::vector<std::string>{"yes      a user without rights: uid 65534"});

  // Root may lock what it likes, but the engine has its limit.
  const auto with_limit = self_test(
      [] {
        const rlimit limit{.rlim_cur = 8U << 20, .rlim_max = 8U << 20};
        return withhold({CAP_SYS_RESOURCE}) && ::setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
      },
      config);
  INFO(with_limit.text);
  CHECK(has_line(with_limit, "NO       all memory locked: the limit of locked memory is 8388608 bytes"));

  const auto ambient = self_test([] { return become_user_with(kNobody, {CAP_IPC_LOCK, CAP_NET_RAW}); });
  INFO(ambient.text);
  CHECK(has_line(ambient, "yes      a user without rights: uid 65534, with CAP_IPC_LOCK"));
  CHECK(has_line(ambient, "yes      all memory locked"));
}

TEST_CASE("engine.tlsmuxd --selftest says which rights its broker lacks, and when /dev/shm is too small") {
  if (skip_with_sanitizer() || skip_without_root("it takes rights away, and mounts")) return;
  const TemporaryFolder folder;
  const auto config = folder.add("nobody.json", config_of(R"("engine": {"user": "nobody"})"));
  const auto deaf = self_test([] { return withhold({CAP_KILL}); }, config);
  INFO(deaf.text);
  CHECK(deaf.code == engine::kExitNotInForce);
  CHECK(has_line(deaf, "NO       becoming the engine's user, and stopping it: needs CAP_KILL: "));
  CHECK(has_line(deaf, "yes      a user without rights: uid 65534"));
  const auto bound = self_test([] { return withhold({CAP_SETUID, CAP_SETGID}); }, config);
  INFO(bound.text);
  CHECK(has_line(bound, "NO       becoming the engine's user, and stopping it: needs CAP_SETUID, CAP_SETGID: "));
  CHECK(has_line(bound, "NO       a user without rights: setting the engine's "));

  const auto cramped = self_test(
      [] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("none", "/dev/shm", "tmpfs", 0, "size=8k") == 0;
      },
      config);
  INFO(cramped.text);
  CHECK(cramped.code == engine::kExitNotInForce);
  const auto found = lines_with(cramped.text, "NO       room for tables in /dev/shm: 8192 bytes are free, ");
  REQUIRE(found.size() == 1);
  CHECK(found.front().find("--shm-size") != std::string::npos);
}

TEST_CASE("engine.tlsmuxd --selftest has said what it knew when a machine ends it for a call") {
  if (skip_with_sanitizer()) return;
  const auto report = self_test([] {
    std::array code{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                    sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    return is_nobody() && enter_filter(code);
  });
  INFO(report.text);
  CHECK(report.code == 128 + SIGSYS);
  CHECK(lines_with(report.text, "").size() == kLines - 1);
}

TEST_CASE("engine.tlsmuxd --selftest says what is missing, and what to do") {
  if (skip_with_sanitizer()) return;
  struct Lack {
    long call;
    int error;
    std::string what;
    std::string advice;
  };
  for (const auto& lack :
       {Lack{SYS_io_uring_setup, EPERM, "io_uring, restricted", "kernel.io_uring_disabled=0"},
        Lack{SYS_io_uring_setup, ENOSYS, "io_uring, restricted", "Linux 6.1 or later"},
        Lack{SYS_seccomp, EPERM, "system calls of the engine (seccomp)", "a container has to allow seccomp"},
        Lack{SYS_seccomp, ENOSYS, "system calls of the broker (seccomp)", "CONFIG_SECCOMP_FILTER"},
        Lack{SYS_landlock_create_ruleset, EPERM, "files of the engine (Landlock)", "has to allow its landlock_"},
        Lack{SYS_landlock_create_ruleset, ENOSYS, "files of the engine (Landlock)", "lsm="}}) {
    const auto report = self_test([&] { return is_nobody() && forbid_call(lack.call, lack.error); });
    INFO(report.text);
    CHECK(report.code == engine::kExitNotInForce);
    CHECK(lines_with(report.text, "").size() == kLines);
    const auto found = lines_with(report.text, "NO       " + lack.what + ": ");
    REQUIRE(found.size() == 1);
    CHECK_MESSAGE(found.front().find(lack.advice) != std::string::npos, lack.advice);
  }
}

TEST_CASE("engine.tlsmuxd --selftest with a configuration is about that one") {
  if (skip_with_sanitizer()) return;
  const TemporaryFolder folder;
  const auto off = folder.add("off.json", config_of(R"("engine": {"confinement": "off"})"));
  const auto report = self_test([] { return true; }, off);
  INFO(report.text);
  CHECK(report.code == engine::kExitNotInForce);
  CHECK(has_line(report, "NO       system calls of the broker (seccomp): /engine/confinement is off"));
  CHECK(has_line(report, "NO       system calls of the engine (seccomp): "));
  CHECK(has_line(report, "NO       files of the engine (Landlock): "));
  CHECK(has_line(report, "yes      no core dumps"));
  CHECK(has_line(report, "yes      io_uring, restricted"));
  const auto bad = self_test([] { return true; }, folder.path("none.json"));
  CHECK(bad.code == 1);
}

}  // namespace tlsmux::test
