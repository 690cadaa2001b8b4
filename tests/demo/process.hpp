#pragma once

// A program that the demo runs, in a process group of its own, so that Ctrl-C at the terminal reaches the demo alone.

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::demo {

struct Launch {
  std::string program;
  std::vector<std::string> arguments;
  std::string log_file;              // standard output and error are appended to it
  int signal_if_orphaned = SIGKILL;  // what it gets when the demo itself is killed
};

class Process {
 public:
  // Failures throw std::runtime_error.
  explicit Process(Launch launch);
  // Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::string& log_file() const { return launch_.log_file; }
  [[nodiscard]] std::string log() const;

  // A byte to its standard input.
  void tell_to_start() const;
  void send_signal(int signal) const;

  // Once it has ended: its exit code, or 128 + the signal that killed it.
  std::optional<int> exit_code();

 private:
  Launch launch_;
  pid_t pid_ = -1;
  shm::UniqueFd input_;
  std::optional<int> exit_code_;
};

// The folder that this program, and the others of the project, lie in.
[[nodiscard]] std::string program_folder();

}  // namespace tlsmux::demo
