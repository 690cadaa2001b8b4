#pragma once

// The log of a process under test, read as it is written: how tests wait for what they have caused.

#include <string>
#include <string_view>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class LogPipe {
 public:
  LogPipe();

  // For the process that logs; the pipe reads as ended once nobody holds it.
  shm::UniqueFd take_writing_end();

  // The first line from here on that holds `text`; earlier lines are passed over. Fails the test after 20 seconds.
  std::string wait_for(std::string_view text);
  // All lines until the log ends. The same limit.
  std::string rest();

 private:
  bool read_more(int timeout_ms);

  shm::UniqueFd reading_;
  shm::UniqueFd writing_;
  std::string unread_;
  std::string seen_;  // for the message of a failure
};

// The value of `key` in a line; empty if there is none.
std::string value_in(std::string_view line, std::string_view key);

}  // namespace tlsmux::test
