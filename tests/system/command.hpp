#pragma once

// `tlsmux`, as an operator runs it.

#include <string>

namespace tlsmux::test {

struct CommandResult {
  int exit_code = 0;
  std::string text;  // what it printed, to standard output and standard error
};

CommandResult run_tlsmux(const std::string& arguments);

}  // namespace tlsmux::test
