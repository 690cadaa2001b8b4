#include "client/cli/check.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "client/cli/exit_code.hpp"
#include "config/check/check_files.hpp"
#include "config/check/check_shares.hpp"
#include "config/check/check_start.hpp"
#include "config/config_file.hpp"
#include "ports/diagnosis/machine_check.hpp"

namespace tlsmux::client::cli {
namespace {

std::string counted(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

int run_check(const std::string& path) {
  auto errors = config::check_config_file(path);
  // What is in a file that others may change is looked at as well. A FIFO would never end.
  std::error_code ignored;
  if (errors.empty() || std::filesystem::is_regular_file(path, ignored)) {
    std::ranges::move(config::find_errors(path), std::back_inserter(errors));
  }
  std::vector<ports::PortInUse> in_use;
  config::ConfigErrors doubts;
  if (errors.empty()) {
    if (const auto config = config::load(path)) {
      auto machine = ports::check_machine(*config);
      errors = std::move(machine.errors);
      in_use = std::move(machine.in_use);
      doubts = config::find_start_problems(*config);
      std::ranges::move(config::find_shares_of_none(*config), std::back_inserter(doubts));
    } else {
      errors = config.error();  // the file has changed meanwhile
    }
  }
  std::fputs(config::format_errors(path, errors).c_str(), stderr);
  for (const auto& port : in_use) std::fprintf(stderr, "%s: warning: %s\n", path.c_str(), port.text().c_str());
  std::fputs(config::format_errors(path + ": warning", doubts).c_str(), stderr);
  const auto count = in_use.size() + doubts.size();
  const std::string warnings = count == 0 ? "" : ", " + counted(count, "warning");
  if (!errors.empty()) {
    std::fprintf(stderr, "%s%s\n", counted(errors.size(), "error").c_str(), warnings.c_str());
    return kExitFailed;
  }
  std::printf("%s: no errors%s\n", path.c_str(), warnings.c_str());
  return kExitDone;
}

}  // namespace tlsmux::client::cli
