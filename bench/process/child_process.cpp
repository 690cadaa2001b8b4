#include "bench/process/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "shm/system/pidfd.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kCannotRun = 127;
constexpr int kPatienceMs = 10'000;
constexpr int kDescriptorsMax = 16;  // that a child is given

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// First out of the way, then to their places, so that none is overwritten before it was moved.
void place_descriptors(const std::vector<std::pair<int, int>>& descriptors) {
  std::vector<int> moved;
  for (const auto& [ours, number] : descriptors) moved.push_back(::fcntl(ours, F_DUPFD_CLOEXEC, kDescriptorsMax));
  for (std::size_t i = 0; i < descriptors.size(); ++i) ::dup2(moved[i], descriptors[i].second);
}

// In the child.
[[noreturn]] void run(char* const* arguments, char* const* settings, const Launch& launch, int log, pid_t parent) {
  ::setpgid(0, 0);  // an interrupt from the terminal is for the conductor, which ends its children in good order
  ::prctl(PR_SET_PDEATHSIG, launch.signal_if_orphaned);
  if (::getppid() != parent) ::_exit(kCannotRun);
  static_cast<void>(std::signal(SIGPIPE, SIG_DFL));
  for (; *settings != nullptr; ++settings) ::putenv(*settings);
  if (log >= 0) {
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
  }
  place_descriptors(launch.descriptors);
  ::execvp(arguments[0], arguments);
  ::_exit(kCannotRun);
}

std::uint64_t ns_of(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_usec) * 1000;
}

}  // namespace

ChildProcess::ChildProcess(Launch launch) {
  shm::UniqueFd log;
  if (!launch.log_file.empty()) {
    log.reset(::open(launch.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!log) throw std::runtime_error(shm::last_error("opening " + launch.log_file).message);
  }
  auto settings = pointers_to(launch.environment);
  const auto arguments = pointers_to(launch.command);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error(shm::last_error("starting " + launch.command[0]).message);
  if (pid_ == 0) run(arguments.data(), settings.data(), launch, log.get(), parent);
}

ChildProcess::~ChildProcess() { stop(); }

ProcessEnd ChildProcess::reap() {
  int status = 0;
  rusage usage{};
  while (::wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .cpu_ns = ns_of(usage.ru_utime) + ns_of(usage.ru_stime)};
}

std::optional<ProcessEnd> ChildProcess::wait(int timeout_ms) {
  if (pid_ < 0) return ProcessEnd{};
  const auto handle = shm::open_pidfd(pid_);
  pollfd ended{.fd = handle.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ended, 1, timeout_ms) != 1) return std::nullopt;
  return reap();
}

bool ChildProcess::has_ended() { return wait(0).has_value(); }

void ChildProcess::stop() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  if (!wait(kPatienceMs)) kill();
}

void ChildProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "/usr/bin:/bin") + ":/usr/sbin:/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto candidate = std::filesystem::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  return {};
}

}  // namespace tlsmux::bench
