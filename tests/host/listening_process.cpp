#include "tests/host/listening_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace tlsmux::host {
namespace {

constexpr int kPatienceMs = 30'000;  // only ever used up by a failure

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

pid_t start(const std::vector<std::string>& command, int output) {
  std::vector<char*> pointers;
  for (const auto& word : command) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail("cannot start " + command[0]);
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  ::execvp(pointers[0], pointers.data());
  ::_exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid failed");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

int run_command(const std::vector<std::string>& command) { return wait_for(start(command, -1)); }

ListeningProcess::ListeningProcess(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("no pipe");
  output_.reset(ends[0]);
  shm::UniqueFd write_end(ends[1]);
  pid_ = start(command, write_end.get());
  write_end.reset();  // so that the end of the process is the end of its output
  try {
    await_listening(command[0]);
  } catch (...) {
    kill();
    throw;
  }
}

ListeningProcess::~ListeningProcess() {
  if (pid_ > 0) kill();
}

void ListeningProcess::await_listening(const std::string& program) {
  std::string line;
  char c = 0;
  pollfd readable = {.fd = output_.get(), .events = POLLIN, .revents = 0};
  while (c != '\n') {
    if (::poll(&readable, 1, kPatienceMs) != 1 || ::read(output_.get(), &c, 1) != 1) {
      fail(program + " did not start; it said: " + line);
    }
    line += c;
  }
  const auto colon = line.rfind(':');
  if (!line.starts_with("listening ") || colon == std::string::npos) fail("not what it should say: " + line);
  port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
}

int ListeningProcess::stop() {
  ::kill(pid_, SIGTERM);
  return wait_for(std::exchange(pid_, -1));
}

void ListeningProcess::kill() {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace tlsmux::host
