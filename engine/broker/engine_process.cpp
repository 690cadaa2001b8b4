#include "engine/broker/engine_process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "shm/system/descriptor_refusal.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::engine::broker {
namespace {

void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned next = STDERR_FILENO + 1;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > next) ::close_range(next, number - 1, 0);
    next = std::max(next, number + 1);
  }
  ::close_range(next, std::numeric_limits<unsigned>::max(), 0);
}

void set_signals() {
  for (const int ignored : {SIGPIPE, SIGINT}) std::ignore = ::signal(ignored, SIG_IGN);
  // Ctrl-C reaches the whole process group: the broker takes it and tells the engine by SIGTERM.
  for (const int usual : {SIGTERM, SIGHUP, SIGCHLD}) std::ignore = ::signal(usual, SIG_DFL);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigaddset(&blocked, SIGHUP);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

// The child. The parent's objects are here too, but nothing destroys them, neither exit() nor an exception: the files
// that they would remove are still in use.
[[noreturn]] void run_child(const EngineStart& start, shm::UniqueFd socket, Log& log) noexcept {
  shm::UniqueFd log_output(::fcntl(start.log_output, F_DUPFD_CLOEXEC, 3));
  std::vector<int> kept(start.inherited.begin(), start.inherited.end());
  kept.insert(kept.end(), {socket.get(), log_output.get(), start.log_output});
  close_all_but(std::move(kept));
  ::prctl(PR_SET_NAME, "tlsmuxd-engine");  // for ps: only the broker is called tlsmuxd
  set_signals();
  if (auto became = become(start.identity); !became) {
    log.error("engine_user_failed",
              {{"uid", start.identity.uid},
               {"error", became.error().message},
               {"needs",
                "CAP_SETUID and CAP_SETGID: in CapabilityBoundingSet= of the systemd unit, or --cap-add=SETUID "
                "--cap-add=SETGID of the container"}});
    std::exit(kExitCannotStart);
  }
  EngineResources resources{
      .broker_socket = std::move(socket), .log_output = std::move(log_output), .restarts = start.restarts};
  std::exit(start.main(start.config, std::move(resources)));
}

}  // namespace

std::expected<EngineProcess, shm::SystemError> start_engine(const EngineStart& start, Log& log) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::unexpected(shm::last_error("making the engine's socket"));
  }
  EngineProcess process{.pid = -1, .pidfd = {}, .socket = shm::UniqueFd(ends[0])};
  shm::UniqueFd engine_end(ends[1]);
  // An engine that does not read must not hold up the broker.
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
    return std::unexpected(shm::last_error("preparing the engine's socket"));
  shm::refuse_descriptors(ends[0]);  // before Linux 6.16 whoever reads sees to that
  process.pid = ::fork();
  if (process.pid < 0) return std::unexpected(shm::last_error("forking the engine"));
  if (process.pid == 0) run_child(start, std::move(engine_end), log);
  process.pidfd = shm::open_pidfd(process.pid);
  if (!process.pidfd) {
    const auto error = shm::last_error("watching the engine");
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    return std::unexpected(error);
  }
  return process;
}

EngineEnd reap(const EngineProcess& process) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(process.pid), &info, WEXITED) != 0) {
    return {.exited = true, .code = EXIT_FAILURE, .description = "unknown"};
  }
  const auto number = std::to_string(info.si_status);
  if (info.si_code == CLD_EXITED) return {.exited = true, .code = info.si_status, .description = "exit code " + number};
  const char* name = ::strsignal(info.si_status);
  return {.exited = false, .code = info.si_status, .description = "signal " + number + " (" + name + ")"};
}

}  // namespace tlsmux::engine::broker
