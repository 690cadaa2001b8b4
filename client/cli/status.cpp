#include "client/cli/status.hpp"

#include <cstdio>
#include <ctime>
#include <vector>

#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/observe.hpp"
#include "client/cli/status_report.hpp"
#include "client/cli/status_text.hpp"
#include "client/cli/table.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client::cli {
namespace {

int fail(const shm::SystemError& error) {
  std::fprintf(stderr, "tlsmux status: %s\n", escaped(error.message).c_str());
  return exit_code_of_error(error.code);
}

}  // namespace

int run_status(const StatusOptions& options) {
  const auto socket = control_socket_or_usual(options.control_socket);
  const auto group = or_environment(options.group, "TLSMUX_GROUP", "");
  const auto names = choose_groups(socket, group);
  if (!names) return fail(names.error());
  std::vector<GroupStatus> groups;
  for (const auto& name : *names) {
    const auto observed = observe_group(socket, name);
    if (!observed) return fail(observed.error());
    groups.push_back(report(*observed, static_cast<std::uint64_t>(now_ns())));
  }
  if (options.json) {
    std::fputs(status_json(groups).c_str(), stdout);
    return kExitDone;
  }
  for (const auto& each : groups) std::fputs(status_text(each, std::time(nullptr)).c_str(), stdout);
  return kExitDone;
}

}  // namespace tlsmux::client::cli
