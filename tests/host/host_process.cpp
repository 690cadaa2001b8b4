#include "tests/host/host_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <utility>

namespace tlsmux::host {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);  // only ever used up by a failure

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

pid_t start(const std::vector<std::string>& arguments, int output) {
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
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

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tlsmux-host-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) fail("cannot make a temporary folder");
  folder_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string certificate_file(const std::string& name) {
  static const TemporaryFolder folder;
  static const int made = wait_for(start({TLSMUX_SOURCE_FOLDER "/scripts/make-certificates", folder.path("")}, -1));
  if (made != 0) fail("scripts/make-certificates failed");
  return folder.path(name);
}

HostProcess::HostProcess(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("no pipe");
  output_.reset(ends[0]);
  shm::UniqueFd write_end(ends[1]);
  std::vector<std::string> all = {TLSMUX_PROGRAM_FOLDER "/tlsmux-host"};
  const auto add_default = [&](const std::string& option, const std::string& value) {
    for (const auto& argument : arguments) {
      if (argument == option) return;
    }
    all.insert(all.end(), {option, value});
  };
  add_default("--certificate", certificate_file("server.pem"));
  add_default("--key", certificate_file("server.key"));
  all.insert(all.end(), arguments.begin(), arguments.end());
  pid_ = start(all, write_end.get());
  write_end.reset();  // so that the end of the host is the end of its output
  if (pid_ < 0) fail("cannot start tlsmux-host");
  try {
    await_listening();
  } catch (...) {
    kill();
    throw;
  }
}

HostProcess::~HostProcess() {
  if (pid_ > 0) kill();
}

void HostProcess::await_listening() {
  std::string line;
  char c = 0;
  pollfd readable = {.fd = output_.get(), .events = POLLIN, .revents = 0};
  while (c != '\n') {
    const auto patience_ms = std::chrono::milliseconds(kPatience).count();
    if (::poll(&readable, 1, static_cast<int>(patience_ms)) != 1 || ::read(output_.get(), &c, 1) != 1) {
      fail("tlsmux-host did not start; it said: " + line);
    }
    line += c;
  }
  const auto colon = line.rfind(':');
  if (!line.starts_with("listening ") || colon == std::string::npos) fail("not what tlsmux-host should say: " + line);
  port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
}

int HostProcess::await_end() { return wait_for(std::exchange(pid_, -1)); }

int HostProcess::stop() {
  ::kill(pid_, SIGTERM);
  return await_end();
}

void HostProcess::kill() {
  ::kill(pid_, SIGKILL);
  await_end();
}

std::string await_file(const std::string& path, const std::string& before) {
  const auto until = Clock::now() + kPatience;
  while (Clock::now() < until) {
    const std::string now = read_file(path);
    if (!now.empty() && now != before) return now;
    std::this_thread::yield();
  }
  fail("nothing new came in " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tlsmux::host
