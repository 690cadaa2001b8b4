#include "client/cli/check.hpp"

#include <cstdio>

#include "client/cli/exit_code.hpp"
#include "config/config_file.hpp"
#include "ports/diagnosis/machine_check.hpp"

namespace tlsmux::client::cli {
namespace {

std::string counted(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

int run_check(const std::string& path) {
  auto errors = config::find_errors(path);
  std::vector<ports::PortInUse> in_use;
  if (errors.empty()) {
    if (const auto config = config::load(path)) {
      auto machine = ports::check_machine(*config);
      errors = std::move(machine.errors);
      in_use = std::move(machine.in_use);
    } else {
      errors = config.error();  // the file has changed meanwhile
    }
  }
  std::fputs(config::format_errors(path, errors).c_str(), stderr);
  for (const auto& port : in_use) std::fprintf(stderr, "%s: warning: %s\n", path.c_str(), port.text().c_str());
  const std::string warnings = in_use.empty() ? "" : ", " + counted(in_use.size(), "warning");
  if (!errors.empty()) {
    std::fprintf(stderr, "%s%s\n", counted(errors.size(), "error").c_str(), warnings.c_str());
    return kExitFailed;
  }
  std::printf("%s: no errors%s\n", path.c_str(), warnings.c_str());
  return kExitDone;
}

}  // namespace tlsmux::client::cli
