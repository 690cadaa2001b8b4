#include "tests/wrapper/script_run.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <stdexcept>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

std::string content_of(int file) {
  std::string all;
  std::array<char, 4096> part{};
  ::lseek(file, 0, SEEK_SET);
  for (ssize_t got = 0; (got = ::read(file, part.data(), part.size())) > 0;) {
    all.append(part.data(), static_cast<std::size_t>(got));
  }
  return all;
}

}  // namespace

Gate::Gate() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  reads = ends[0];
  writes = ends[1];
}

Gate::~Gate() {
  ::close(reads);
  ::close(writes);
}

ScriptRun run(const std::vector<std::string>& command, const std::vector<std::string>& environment, const Gate& gate,
              const std::string& input) {
  const shm::UniqueFd given(::memfd_create("input", MFD_CLOEXEC));
  if (::write(given.get(), input.data(), input.size()) < 0) throw std::runtime_error("cannot write the input");
  ::lseek(given.get(), 0, SEEK_SET);
  const shm::UniqueFd output(::memfd_create("output", MFD_CLOEXEC));
  const shm::UniqueFd errors(::memfd_create("errors", MFD_CLOEXEC));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, given.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, output.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, errors.get(), 2);
  ::posix_spawn_file_actions_adddup2(&actions, gate.writes, 3);
  auto variables = environment;
  variables.emplace_back("PATH=/usr/bin:/bin");
  variables.emplace_back("LC_ALL=C");
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, command.front().c_str(), &actions, nullptr, pointers(command).data(),
                                    pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + command.front());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  ScriptRun done;
  done.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  done.errors = content_of(errors.get());
  done.output = content_of(output.get());
  std::istringstream text(done.output);
  for (std::string line; std::getline(text, line);) done.lines.push_back(line);
  return done;
}

}  // namespace tlsmux::test
