#pragma once

// Runs ssl_script, or another program, with or without the wrapper.

#include <string>
#include <vector>

namespace tlsmux::test {

struct ScriptRun {
  std::string output;              // standard output
  std::vector<std::string> lines;  // of it
  std::string errors;              // of standard error
  int exit_code = -1;
};

struct Gate {
  Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();

  int reads = -1;   // for play()
  int writes = -1;  // descriptor 3 of the program
};

// `environment`: NAME=value. The wrapper is preloaded if it is named there. `input`: the program's standard input.
ScriptRun run(const std::vector<std::string>& command, const std::vector<std::string>& environment, const Gate& gate,
              const std::string& input = {});

}  // namespace tlsmux::test
