#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::host {

// A child process that says "listening ADDRESS:PORT" on its standard output once it does. It is killed at the
// end unless it was stopped, and also when the test program dies. Failures throw std::runtime_error.
class ListeningProcess {
 public:
  // Returns once it listens. `command` is the program, looked for in PATH, and its arguments.
  explicit ListeningProcess(const std::vector<std::string>& command);
  ~ListeningProcess();
  ListeningProcess(const ListeningProcess&) = delete;
  ListeningProcess& operator=(const ListeningProcess&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // Sends SIGTERM, waits for the end and returns the exit code, or minus the signal it died of.
  int stop();
  // Sends SIGKILL and waits for the end.
  void kill();

 private:
  void await_listening(const std::string& program);

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  shm::UniqueFd output_;
};

// Runs a command to its end: its exit code, or minus the signal it died of; 127 if there is no such program.
int run_command(const std::vector<std::string>& command);

}  // namespace tlsmux::host
