// What happens to a thread that makes a call which its kind has no use for: each in a process of its own.

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "engine/confinement/confinement.hpp"
#include "engine/confinement/file_rules.hpp"
#include "tests/broker/process.hpp"
#include "tests/confinement/sanitizer.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

using engine::confinement::ThreadKind;

constexpr int kAborted = 128 + SIGABRT;
// The C library blocks all signals while it starts a thread, and a blocked SIGSYS ends the process by itself.
constexpr int kKilled = 128 + SIGSYS;
constexpr int kNotConfined = 99;

struct End {
  int code = 0;
  std::string log;
};

End end_of(ChildProcess& child, int log) {
  End end{.code = child.wait(), .log = {}};
  std::array<char, 4096> text{};
  for (ssize_t size = 0; (size = ::read(log, text.data(), text.size())) > 0;) {
    end.log.append(text.data(), static_cast<std::size_t>(size));
  }
  return end;
}

// `act` on a thread of this kind in a confined process, whose exit code is what `act` returns.
End run_as(ThreadKind kind, const std::function<int()>& act) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const shm::UniqueFd reading(pipe[0]);
  shm::UniqueFd writing(pipe[1]);
  ChildProcess child([&] {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return kNotConfined;
    const auto confined = engine::confinement::confine_process(writing.get());
    if (!confined || !confined->calls_filtered) return kNotConfined;
    int result = kNotConfined;
    std::jthread([&] {
      engine::confinement::enter_thread(kind);
      result = act();
    }).join();
    return result;
  });
  writing.reset();
  return end_of(child, reading.get());
}

// The same in a process that has the broker's rules.
End run_as_broker(const std::function<int()>& act) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  const shm::UniqueFd reading(pipe[0]);
  shm::UniqueFd writing(pipe[1]);
  ChildProcess child(
      [&] { return engine::confinement::confine_broker(writing.get()).has_value() ? act() : kNotConfined; });
  writing.reset();
  return end_of(child, reading.get());
}

void check_breach(ThreadKind kind, const std::string& call, const std::function<int()>& act) {
  const auto end = run_as(kind, act);
  INFO(call, " by ", engine::confinement::name(kind), ": ", end.log);
  CHECK(end.code == kAborted);
  CHECK(end.log.find("Z level=error event=confinement_breach call=" + call + " number=") == 23);
  CHECK(end.log.ends_with(" thread=" + std::string(engine::confinement::name(kind)) + "\n"));
}

// A folder at a fixed place, and what is put into it: removed afterwards, the folder only if it was not there before.
class ScratchFolder {
 public:
  explicit ScratchFolder(std::filesystem::path path)
      : path_(std::move(path)), is_ours_(std::filesystem::create_directory(path_)) {}
  ~ScratchFolder() {
    std::error_code ignored;
    for (const auto& file : files_) std::filesystem::remove(file, ignored);
    if (is_ours_) std::filesystem::remove(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string add(const std::string& name) {
    files_.push_back(path_ / name);
    std::ofstream(files_.back()) << "text";
    return files_.back().string();
  }

 private:
  std::filesystem::path path_;
  bool is_ours_;
  std::vector<std::filesystem::path> files_;
};

int execute() { return ::execl("/bin/true", "true", nullptr); }
int make_ring() { return static_cast<int>(::syscall(SYS_io_uring_setup, 1, nullptr)); }
int register_with_ring() { return static_cast<int>(::syscall(SYS_io_uring_register, -1, 0, nullptr, 0)); }
int make_local_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }
int make_udp_socket() { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }
int make_raw_socket() { return ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP); }
int map_executable() {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? 1 : 0;
}
int open_for_writing() { return ::open("/dev/null", O_WRONLY | O_CLOEXEC); }
int read_line_length() { return ::ioctl(0, FIONREAD, nullptr); }
int fork_process() { return ::fork() == 0 ? 0 : 1; }
int seal() { return ::fcntl(0, F_ADD_SEALS, 0); }
int make_routing_socket() { return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0); }
int become_root() { return ::setresuid(0, 0, 0); }
// The whole of clone3's arguments in the version that any kernel with the call takes.
int clone_by_structure() {
  std::array<std::uint64_t, 8> arguments{0, 0, 0, 0, SIGCHLD, 0, 0, 0};
  return static_cast<int>(::syscall(SYS_clone3, arguments.data(), sizeof arguments));
}

// With the flags of clone(2), in the child at once again. 0: there was one.
int start_and_reap(unsigned long flags) {
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) ::_exit(0);
  return pid > 0 && ::waitpid(pid, nullptr, 0) == pid ? 0 : 1;
}

// What programs and modules start processes and threads with. 0: all of it works.
int start_all() {
  const pid_t shares_memory = ::vfork();  // NOLINT(*-unsafe-functions,*insecureAPI.vfork): tried here
  if (shares_memory == 0) ::_exit(0);
  if (shares_memory < 0 || ::waitpid(shares_memory, nullptr, 0) != shares_memory) return 1;
  int threads = 0;
  std::jthread([&] { ++threads; }).join();
  const auto forked = ChildProcess([&] {
                        std::jthread([&] { ++threads; }).join();
                        return threads;
                      }).wait();
  return forked == 2 && start_and_reap(0) == 0 ? 0 : 2;
}

int trace_process() { return static_cast<int>(::syscall(SYS_ptrace, 16, ::getpid(), 0, 0)); }

}  // namespace

TEST_CASE("engine.a breach of the confinement is logged with the call's name, and aborts") {
  if (skip_with_sanitizer()) return;
  for (const auto kind : engine::confinement::kThreadKinds) {
    check_breach(kind, "execve", execute);
    check_breach(kind, "io_uring_setup", make_ring);
    check_breach(kind, "io_uring_register", register_with_ring);
    check_breach(kind, "ptrace", trace_process);
  }
}

TEST_CASE("engine.a breach is logged with the thread's own name where it has one") {
  if (skip_with_sanitizer()) return;
  const auto end = run_as(ThreadKind::resolver, [] {
    engine::confinement::enter_thread(ThreadKind::resolver, "accounts");
    return execute();
  });
  CHECK(end.code == kAborted);
  CHECK_MESSAGE(end.log.ends_with(" thread=accounts\n"), end.log);
}

TEST_CASE("engine.the control thread and the wrapper's may make no other calls than theirs") {
  if (skip_with_sanitizer()) return;
  for (const auto kind : {ThreadKind::control, ThreadKind::wrapper}) {
    for (const auto make : {make_local_socket, make_udp_socket, make_raw_socket, make_routing_socket}) {
      check_breach(kind, "socket", make);
    }
    check_breach(kind, "mmap", map_executable);
    check_breach(kind, "openat", open_for_writing);
    check_breach(kind, "ioctl", read_line_length);
    check_breach(kind, "prctl", [] { return ::prctl(PR_SET_DUMPABLE, 1); });
    check_breach(kind, "clone", fork_process);
    check_breach(kind, "setresuid", become_root);
    check_breach(kind, "kill", [] { return ::kill(::getpid(), SIGCONT); });
  }
  check_breach(ThreadKind::wrapper, "fcntl", seal);
}

TEST_CASE("engine.a breach by the broker, or by an engine that has no rules of its own yet, is logged, and aborts") {
  if (skip_with_sanitizer()) return;
  for (const auto& [call, act] : {std::pair<std::string, std::function<int()>>{"execve", execute},
                                  {"ptrace", trace_process},
                                  {"unshare", [] { return ::unshare(CLONE_NEWNS); }}}) {
    const auto own = run_as_broker(act);
    INFO(own.log);
    CHECK(own.code == kAborted);
    CHECK(own.log.find(" event=confinement_breach call=" + call + " number=") != std::string::npos);
    CHECK(own.log.ends_with(" thread=broker\n"));
    const auto forked = run_as_broker([&] { return ChildProcess(act).wait(); });
    INFO(forked.log);
    CHECK(forked.code == kAborted);
    CHECK(forked.log.find(" event=confinement_breach call=" + call + " number=") != std::string::npos);
  }
}

TEST_CASE("engine.no thread starts a process in namespaces of its own, in which it would have all capabilities") {
  if (skip_with_sanitizer()) return;
  constexpr int kOpenTreeAttr = 467;  // newer than Debian 12's headers
  const auto open_tree = [] { return static_cast<int>(::syscall(kOpenTreeAttr, -1, "/", 1, nullptr, 0)); };
  for (const unsigned long flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    check_breach(ThreadKind::resolver, "clone", [&] { return start_and_reap(flag); });
    const auto broker = run_as_broker([&] { return start_and_reap(flag); });
    INFO(flag, ": ", broker.log);
    CHECK(broker.code == kAborted);
    CHECK(broker.log.find(" event=confinement_breach call=clone number=") != std::string::npos);
  }
  check_breach(ThreadKind::resolver, "open_tree_attr", open_tree);
  const auto broker = run_as_broker(open_tree);
  CHECK(broker.code == kAborted);
  CHECK(broker.log.find(" event=confinement_breach call=open_tree_attr number=467 ") != std::string::npos);
}

TEST_CASE("engine.the broker, and threads that look names up, start processes and threads, but not by clone3") {
  if (skip_with_sanitizer()) return;
  const auto act = [] {
    if (clone_by_structure() != -1 || errno != ENOSYS) return 9;
    return start_all();
  };
  for (const auto& end : {run_as(ThreadKind::resolver, act), run_as_broker(act)}) {
    CHECK(end.code == 0);
    CHECK(end.log.empty());
  }
}

TEST_CASE("engine.what modules that look names up may try is refused without a breach") {
  if (skip_with_sanitizer()) return;
  const auto act = [] {
    int refused = 0;
    for (const long call : {SYS_add_key, SYS_keyctl, SYS_request_key, SYS_kcmp, SYS_personality}) {
      if (::syscall(call, 0xffffffff, 0, 0, 0, 0) == -1 && errno == EPERM) ++refused;
    }
    return refused;
  };
  for (const auto& end : {run_as(ThreadKind::resolver, act), run_as_broker(act)}) {
    CHECK(end.code == 5);
    CHECK(end.log.empty());
  }
  check_breach(ThreadKind::control, "add_key", act);
}

TEST_CASE("engine.the broker's rules leave it and its engines what they need") {
  if (skip_with_sanitizer()) return;
  const auto end = run_as_broker([] {
    return ChildProcess([] {
             if (::getuid() == 0 && !become_user(kNobody)) return 1;
             if (make_ring() != -1 || errno != EFAULT) return 2;  // its parameters are missing
             const auto confined = engine::confinement::confine_process(STDERR_FILENO);
             if (!confined || !confined->calls_filtered) return 3;
             engine::confinement::enter_thread(ThreadKind::control);
             return 0;
           })
        .wait();
  });
  CHECK(end.code == 0);
  CHECK(end.log.empty());
}

TEST_CASE("engine.data loops and workers may make no other calls than theirs") {
  if (skip_with_sanitizer()) return;
  for (const auto kind : {ThreadKind::data_loop, ThreadKind::worker}) {
    for (const auto make : {make_local_socket, make_udp_socket, make_raw_socket, make_routing_socket}) {
      check_breach(kind, "socket", make);
    }
    check_breach(kind, "mmap", map_executable);
    check_breach(kind, "openat", open_for_writing);
    check_breach(kind, "ioctl", read_line_length);
    check_breach(kind, "clone", fork_process);
  }
  check_breach(ThreadKind::worker, "socket", [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); });
  check_breach(ThreadKind::log, "socket", [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); });
}

TEST_CASE("engine.what confined threads need is not in their way") {
  if (skip_with_sanitizer()) return;
  for (const auto kind : engine::confinement::kThreadKinds) {
    const auto end = run_as(kind, [] {
      const std::string allocated(1 << 20, 'x');
      std::jthread([] {}).join();
      return allocated.size() == 1 << 20 ? 0 : 1;
    });
    const bool starts_threads = kind == ThreadKind::control || kind == ThreadKind::resolver;
    CHECK(end.code == (starts_threads ? 0 : kKilled));
    const auto others = run_as(kind, [] {
      constexpr int kSetVma = 0x53564d41;  // PR_SET_VMA, with which glibc names memory if it is told to
      if (::prctl(kSetVma, 0, nullptr, 0, nullptr) == -1 && errno == EPERM) return 1;
#ifdef SYS_time
      // Where the kernel has no clock for programs to read.
      if (::syscall(SYS_time, nullptr) <= 0) return 2;
#endif
      return 0;
    });
    CHECK_MESSAGE(others.code == 0, others.log);
    CHECK(others.log.empty());
  }
  const auto loop = run_as(ThreadKind::data_loop, [] {
    const shm::UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // As glibc's malloc looks at /proc/sys/vm/overcommit_memory.
    const bool refused = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
    return refused && socket ? 0 : 1;
  });
  CHECK(loop.code == 0);
  CHECK(loop.log.empty());
}

TEST_CASE("engine.a confined process reads nothing in /run but what names are looked up with") {
  if (skip_with_sanitizer() || skip_without_root("it makes files in /run")) return;
  if (engine::confinement::kernel_landlock_version() == 0) {
    skip("this kernel has no Landlock");
    return;
  }
  ScratchFolder secrets("/run/tlsmux-test-" + std::to_string(::getpid()));
  // Somebody else may have these; then what is in them is left alone.
  ScratchFolder names("/run/resolvconf");
  const auto secret = secrets.add("secret");
  const auto name = names.add("tlsmux-test-" + std::to_string(::getpid()));
  const auto end = run_as(ThreadKind::resolver, [&] {
    const bool is_refused = ::open(secret.c_str(), O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
    return is_refused && shm::UniqueFd(::open(name.c_str(), O_RDONLY | O_CLOEXEC)) ? 0 : 1;
  });
  CHECK(end.code == 0);
}

TEST_CASE("engine.a confined process opens no files but those of the machine's settings") {
  if (skip_with_sanitizer()) return;
  if (engine::confinement::kernel_landlock_version() == 0) {
    skip("this kernel has no Landlock");
    return;
  }
  const TemporaryFolder folder;
  const auto secret = folder.add("secret", "text");
  const auto fresh = folder.path("fresh");
  const auto end = run_as(ThreadKind::resolver, [&] {
    const auto is_refused = [](const std::string& path, int flags) {
      return ::open(path.c_str(), flags | O_CLOEXEC, 0600) < 0 && errno == EACCES;
    };
    const bool all_refused = is_refused(secret, O_RDONLY) && is_refused(secret, O_WRONLY) &&
                             is_refused(fresh, O_WRONLY | O_CREAT) && is_refused("/etc/passwd", O_WRONLY) &&
                             ::unlink(secret.c_str()) != 0;
    const bool reads = shm::UniqueFd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC)) &&
                       shm::UniqueFd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    return all_refused && reads ? 0 : 1;
  });
  CHECK(end.code == 0);
}

}  // namespace tlsmux::test
