#include "tests/demo/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "shm/system/system_error.hpp"

namespace tlsmux::demo {
namespace {

constexpr int kCannotRun = 127;

// In the child. Only calls that are safe after a fork.
[[noreturn]] void run(char* const* arguments, int input, int log, int signal_if_orphaned, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, signal_if_orphaned);
  if (::getppid() != parent) ::_exit(kCannotRun);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  static_cast<void>(::signal(SIGPIPE, SIG_DFL));
  ::dup2(input, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(arguments[0], arguments);
  ::_exit(kCannotRun);
}

}  // namespace

Process::Process(Launch launch) : launch_(std::move(launch)) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(shm::last_error("making a pipe").message);
  const shm::UniqueFd input(ends[0]);
  input_.reset(ends[1]);
  const shm::UniqueFd log(::open(launch_.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) throw std::runtime_error(shm::last_error("opening " + launch_.log_file).message);

  std::vector<char*> arguments = {launch_.program.data()};
  for (auto& argument : launch_.arguments) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error(shm::last_error("starting " + launch_.program).message);
  if (pid_ == 0) run(arguments.data(), input.get(), log.get(), launch_.signal_if_orphaned, parent);
}

Process::~Process() {
  if (exit_code()) return;
  send_signal(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

std::string Process::log() const {
  std::ifstream file(launch_.log_file, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Process::tell_to_start() const {
  if (::write(input_.get(), "\n", 1) != 1) throw std::runtime_error(launch_.program + " reads no input");
}

void Process::send_signal(int signal) const {
  if (!exit_code_) ::kill(pid_, signal);
}

std::optional<int> Process::exit_code() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return exit_code_;
}

std::string program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

}  // namespace tlsmux::demo
