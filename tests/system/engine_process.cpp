#include "tests/system/engine_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "shm/segment.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

constexpr const char* kProgram = TLSMUX_PROGRAM_FOLDER "/tlsmuxd";

[[noreturn]] void run_tlsmuxd(const std::string& config_path, int log, const EngineLaunch& launch, pid_t parent) {
  // Opened before `prepare`, which may become a user who cannot reach the folder.
  const int program = ::open(kProgram, O_RDONLY);
  ::dup2(log, STDERR_FILENO);
  if (program < 0 || (launch.prepare && !launch.prepare())) ::_exit(127);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // behind `prepare`: a change of user clears it
  if (::getppid() != parent) ::_exit(127);
  std::string name = kProgram;
  std::string path = config_path;
  char* const arguments[] = {name.data(), path.data(), nullptr};
  ::fexecve(program, arguments, environ);
  ::_exit(127);
}

bool ends_in_time(pid_t pid) {
  const auto pidfd = shm::open_pidfd(pid);
  pollfd wanted{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  const auto patience_ms = std::chrono::milliseconds(kPatience).count();
  return !pidfd || ::poll(&wanted, 1, static_cast<int>(patience_ms)) > 0;
}

void kill_and_reap(pid_t pid) {
  if (pid <= 0) return;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

EngineProcess::EngineProcess(const TemporaryFolder& folder, const config::Config& config, const EngineLaunch& launch)
    : config_(config) {
  const auto path = folder.add(config.groups[0].name + ".json", config_text(config), 0644);
  const auto writing = log_.take_writing_end();
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  broker_ = ::fork();
  REQUIRE(broker_ >= 0);
  if (broker_ == 0) run_tlsmuxd(path, writing.get(), launch, parent);
  if (launch.wait_until_serving) await_serving();
}

EngineProcess::~EngineProcess() {
  if (broker_ <= 0) return;
  kill_and_reap(broker_);
  kill_and_reap(engine_);  // ours since its parent is dead; nobody's if it had ended before
  for (const auto& group : config_.groups) {
    shm::remove_group_object(group.name);
    std::filesystem::remove("/dev/shm/" + shm::group_object_name(group.name) + ".lock");
  }
}

void EngineProcess::await_serving() {
  const auto line = log_.wait_for("event=engine_serving");
  engine_ = std::atoi(value_in(line, "pid").c_str());
  REQUIRE(engine_ > 0);
}

void EngineProcess::kill_engine() {
  const auto killed = engine_;
  REQUIRE(::kill(killed, SIGKILL) == 0);
  await_restart(killed);
}

void EngineProcess::await_restart(pid_t killed) {
  const auto line = log_.wait_for("event=engine_restarted", ++restarts_seen_);
  engine_ = std::atoi(value_in(line, "pid").c_str());
  REQUIRE(engine_ > 0);
  REQUIRE(engine_ != killed);
}

int EngineProcess::kill_broker() {
  REQUIRE(::kill(broker_, SIGKILL) == 0);
  ::kill(broker_, SIGCONT);
  CHECK(reap(broker_) == 128 + SIGKILL);
  broker_ = -1;
  return reap(engine_);  // the test is its reaper: see Residue
}

int EngineProcess::stop() {
  REQUIRE(::kill(broker_, SIGTERM) == 0);
  return wait();
}

int EngineProcess::wait() {
  const int code = reap(broker_);
  broker_ = -1;
  check_log();
  return code;
}

void EngineProcess::forget_log() {
  check_log();
  log_.forget();
  restarts_seen_ = 0;
}

void EngineProcess::check_log() {
  for (const auto* complaint :
       {"Sanitizer", "runtime error:", "assertion failed", "confinement_breach", "thread_not_confined"}) {
    CHECK_MESSAGE(log_.count(complaint) == 0, log_.last_lines());
  }
}

std::string status_json(const config::Config& config) {
  const auto command = std::string(TLSMUX_PROGRAM_FOLDER "/tlsmux status --json") + " --group " +
                       config.groups[0].name + " --control-socket " + config.engine.control_socket;
  FILE* const output = ::popen(command.c_str(), "re");
  REQUIRE(output != nullptr);
  std::string text;
  std::array<char, 4096> part{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(part.data(), 1, part.size(), output);
    text.append(part.data(), got);
  }
  CHECK(::pclose(output) == 0);
  return text;
}

int reap(pid_t child) {
  const bool ended = ends_in_time(child);
  if (!ended) ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE_MESSAGE(ended, "a process does not end");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tlsmux::test
