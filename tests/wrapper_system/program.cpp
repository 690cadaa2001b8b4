#include "tests/wrapper_system/program.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "tests/system/engine_process.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

std::array<shm::UniqueFd, 2> make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

// Without the signal that a pipe raises when the program has gone.
std::array<shm::UniqueFd, 2> make_socket_pair() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {shm::UniqueFd(ends[0]), shm::UniqueFd(ends[1])};
}

}  // namespace

Program::Program(const std::vector<std::string>& command, const std::vector<std::string>& environment)
    : errors_(::memfd_create("errors", MFD_CLOEXEC)) {
  auto [input, to_input] = make_socket_pair();
  auto [output, to_output] = make_pipe();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, to_output.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, errors_.get(), 2);
  auto variables = environment;
  variables.emplace_back("PATH=/usr/bin:/bin");
  variables.emplace_back("LC_ALL=C");
  const int failed = ::posix_spawn(&pid_, command.front().c_str(), &actions, nullptr, pointers(command).data(),
                                   pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  REQUIRE_MESSAGE(failed == 0, "cannot start " << command.front());
  input_ = std::move(to_input);
  output_ = std::move(output);
}

Program::~Program() {
  if (pid_ > 0) kill();
}

std::string Program::line() {
  const auto patience_ms = static_cast<int>(std::chrono::milliseconds(kPatience).count());
  while (true) {
    if (const auto end = read_.find('\n'); end != std::string::npos) {
      auto line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    pollfd wanted{.fd = output_.get(), .events = POLLIN, .revents = 0};
    REQUIRE_MESSAGE(::poll(&wanted, 1, patience_ms) == 1, "a program says nothing more");
    std::array<char, 4096> bytes{};
    const auto got = ::read(output_.get(), bytes.data(), bytes.size());
    if (got <= 0) return std::exchange(read_, {});
    read_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

std::string Program::lines_to(const std::string& begin) {
  std::string all;
  while (true) {
    const auto next = line();
    INFO("it said: ", all);
    INFO("on standard error: ", errors());
    REQUIRE(!next.empty());
    all += next + "\n";
    if (next.starts_with(begin)) return all;
  }
}

std::string Program::rest() {
  std::string all;
  for (auto next = line(); !next.empty(); next = line()) all += next + "\n";
  return all;
}

void Program::go() const {
  INFO("on standard error: ", errors());
  REQUIRE(::send(input_.get(), "\n", 1, MSG_NOSIGNAL) == 1);
}

void Program::kill() {
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

int Program::wait() { return reap(std::exchange(pid_, -1)); }

std::string Program::errors() const {
  std::string all(static_cast<std::size_t>(::lseek(errors_.get(), 0, SEEK_END)), '\0');
  const auto got = ::pread(errors_.get(), all.data(), all.size(), 0);
  return got < 0 ? std::string() : all;
}

}  // namespace tlsmux::test
