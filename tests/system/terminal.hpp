#pragma once

// A program on a terminal, whose screen is looked at.

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class Terminal {
 public:
  // Runs the command in a child, after `prepare`, on a terminal of that size. Throws std::runtime_error.
  Terminal(const std::vector<std::string>& command, const std::function<void()>& prepare, unsigned short rows,
           unsigned short columns);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // All that the program has written so far.
  [[nodiscard]] const std::string& written() const { return written_; }
  // The next screen that it draws: its lines, each of which must end with the clearing of what was there before.
  std::vector<std::string> next_screen();
  // What it draws next must be `wanted` before long.
  std::vector<std::string> await_screen(const std::function<bool(const std::vector<std::string>&)>& wanted);
  void resize(unsigned short rows, unsigned short columns);
  // Presses Ctrl-C and waits: the exit code.
  int interrupt();

 private:
  // False: it has ended.
  bool read_more();

  shm::UniqueFd keyboard_and_screen_;
  pid_t program_ = -1;
  std::string written_;
  std::size_t drawn_ = 0;  // of what is written, as far as screens were looked at
};

}  // namespace tlsmux::test
