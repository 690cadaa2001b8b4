#pragma once

// All that a process under test writes to one pipe: its log, and what a sanitizer says.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class LogReader {
 public:
  // The pipe holds a megabyte, so that nobody has to read while a test is busy elsewhere.
  LogReader();

  // For the process that logs.
  shm::UniqueFd take_writing_end() { return std::move(writing_); }

  // The `occurrence`th line since the last forget() that holds `text`, once it is there. Fails the test if it does not
  // come in time.
  std::string wait_for(std::string_view text, std::size_t occurrence = 1);
  // How many lines hold `text` so far.
  std::size_t count(std::string_view text);
  std::vector<std::string> lines_with(std::string_view text);
  // Lines from now on only.
  void forget();
  // For a failure's message.
  std::string last_lines();

 private:
  void read_some(int timeout_ms);

  shm::UniqueFd reading_;
  shm::UniqueFd writing_;
  std::string text_;
  std::size_t begin_ = 0;
};

}  // namespace tlsmux::test
