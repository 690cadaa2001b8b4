#include "tests/system/command.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>

#include <doctest/doctest.h>

namespace tlsmux::test {

CommandResult run_tlsmux(const std::string& arguments) {
  const auto command = std::string(TLSMUX_PROGRAM_FOLDER "/tlsmux ") + arguments + " 2>&1";
  FILE* const output = ::popen(command.c_str(), "re");
  REQUIRE(output != nullptr);
  CommandResult result;
  std::array<char, 4096> part{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(part.data(), 1, part.size(), output);
    result.text.append(part.data(), got);
  }
  const int status = ::pclose(output);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace tlsmux::test
