#include "client/cli/check.hpp"

#include <cstdio>

#include "client/cli/exit_code.hpp"
#include "config/config_file.hpp"

namespace tlsmux::client::cli {

int run_check(const std::string& path) {
  const auto errors = config::find_errors(path);
  if (errors.empty()) {
    std::printf("%s: no errors\n", path.c_str());
    return kExitDone;
  }
  std::fputs(config::format_errors(path, errors).c_str(), stderr);
  std::fprintf(stderr, "%zu error%s\n", errors.size(), errors.size() == 1 ? "" : "s");
  return kExitFailed;
}

}  // namespace tlsmux::client::cli
