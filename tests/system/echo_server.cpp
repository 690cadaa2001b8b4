#include "tests/system/echo_server.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "shm/system/unique_fd.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/await.hpp"

namespace tlsmux::test {
namespace {

struct Pipe {
  shm::UniqueFd reading;
  shm::UniqueFd writing;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {.reading = shm::UniqueFd(ends[0]), .writing = shm::UniqueFd(ends[1])};
}

pid_t start(const std::vector<std::string>& words, int input, int output) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

void stop(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

// The inode numbers of a process's sockets, as /proc/PID/fd names them: "socket:[12345]".
std::set<std::string> sockets_of(pid_t pid) {
  std::set<std::string> inodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const auto target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  return inodes;
}

// The port that a process listens on, 0 if none. See proc(5), /proc/net/tcp: state 0A is LISTEN.
std::uint16_t listening_port(pid_t pid) {
  const auto inodes = sockets_of(pid);
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream words(line);
    const std::vector<std::string> fields(std::istream_iterator<std::string>(words), {});
    if (fields.size() < 10 || fields[3] != "0A" || !inodes.contains(fields[9])) continue;
    return static_cast<std::uint16_t>(std::stoul(fields[1].substr(fields[1].find(':') + 1), nullptr, 16));
  }
  return 0;
}

}  // namespace

EchoServer::EchoServer(const std::vector<std::string>& arguments) {
  const auto decrypted = make_pipe();
  const auto returned = make_pipe();
  std::vector<std::string> words = {"openssl", "s_server",
                                    "-quiet",  "-4",
                                    "-accept", "127.0.0.1:0",
                                    "-cert",   host::certificate_file("server.pem"),
                                    "-key",    host::certificate_file("server.key")};
  words.insert(words.end(), arguments.begin(), arguments.end());
  server_ = start(words, returned.reading.get(), decrypted.writing.get());
  cat_ = start({"cat"}, decrypted.reading.get(), returned.writing.get());
  await([&] { return (port_ = listening_port(server_)) != 0; });
}

EchoServer::~EchoServer() {
  stop(server_);
  stop(cat_);
}

}  // namespace tlsmux::test
