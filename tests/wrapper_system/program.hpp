#pragma once

// A program under libtlsmux_ssl.so, or on OpenSSL alone, that is talked to while it runs.

#include <sys/types.h>

#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class Program {
 public:
  // `environment`: NAME=value.
  Program(const std::vector<std::string>& command, const std::vector<std::string>& environment);
  // Killed, if it still runs.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // What it printed next, on standard output, without the line's end. Empty: it prints no more. Fails the test after kPatience.
  std::string line();
  // All of its lines up to one that begins with this.
  std::string lines_to(const std::string& begin);
  // All that is left.
  std::string rest();
  // It may go on.
  void go() const;
  // SIGKILL; it is reaped.
  void kill();
  // Its exit code, or 128 + a signal. Fails the test if it does not end.
  int wait();
  // Standard error, so far.
  [[nodiscard]] std::string errors() const;

 private:
  pid_t pid_ = -1;
  shm::UniqueFd input_;
  shm::UniqueFd output_;
  shm::UniqueFd errors_;
  std::string read_;
};

}  // namespace tlsmux::test
