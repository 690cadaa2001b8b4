#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tlsmux::bench {

struct Launch {
  std::vector<std::string> command;              // the program, looked for in PATH, and its arguments
  std::vector<std::string> environment;          // NAME=VALUE, beside what this process has
  std::string log_file;                          // of standard output and error; empty: those of this process
  std::vector<std::pair<int, int>> descriptors;  // {of this process, its number in the child}
  int signal_if_orphaned = SIGKILL;
};

// What a process has used, known when it has ended.
struct ProcessEnd {
  int exit_code = 0;  // or 128 and the signal it died of
  std::uint64_t cpu_ns = 0;
};

// A child process. It is ended by the destructor, and when this process dies.
class ChildProcess {
 public:
  // Throws std::runtime_error if it cannot be forked; a program that is not there ends with exit code 127.
  explicit ChildProcess(Launch launch);
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  // Asks it to end, and kills it when it has not after some seconds.
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool has_ended();
  // Waits for its end; at most so long. Empty if it goes on.
  std::optional<ProcessEnd> wait(int timeout_ms);
  // SIGTERM, and SIGKILL after some seconds. Does nothing when it has ended.
  void stop();
  // SIGKILL, which is enough for a process that leaves nothing behind.
  void kill();

 private:
  ProcessEnd reap();

  pid_t pid_ = -1;  // -1: ended
};

// The path of a program that may be installed; empty if it is not. Also looks where Debian keeps servers.
std::string find_program(const std::string& name);

}  // namespace tlsmux::bench
