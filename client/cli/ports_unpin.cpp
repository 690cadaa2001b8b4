#include "client/cli/ports_unpin.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/observe.hpp"
#include "client/cli/served_group.hpp"
#include "client/cli/table.hpp"
#include "config/config_file.hpp"
#include "ports/diagnosis/live_groups.hpp"
#include "ports/enforcement/enforcement.hpp"

namespace tlsmux::client::cli {
namespace {

int fail(const std::string& why) {
  std::fprintf(stderr, "tlsmux ports unpin: %s\n", escaped(why).c_str());
  return kExitFailed;
}

// Whose guard it is, if that runs: it would put back what is taken away.
std::optional<std::string> find_server(const PortsUnpinOptions& options, const config::Config& config) {
  const auto running = [](const std::string& who) {
    return who + ": stop it first, or set the group's enforcement to false and use tlsmux refresh";
  };
  // Where no engine answers, but there is somebody, it is being restarted.
  const auto groups = list_groups(config.engine.control_socket);
  if (groups || groups.error().code != ECONNREFUSED) {
    return running("a live tlsmuxd answers at the control socket " + config.engine.control_socket);
  }
  for (const auto& group : config.groups) {
    if (const auto server = served_by(group.name)) return running(*server);
  }
  if (!options.all) return std::nullopt;
  for (const auto& group : ports::find_served_groups()) {
    if (const auto server = served_by(group)) return running(*server);
  }
  return std::nullopt;
}

std::vector<std::string> instances_at(const ports::EnforcementPlace& place, bool all) {
  if (!all) return {place.instance()};
  auto instances = ports::Guard::instances(place.guard.bpf_directory);
  const auto journalled = ports::journalled_instances(place.folder);
  instances.insert(instances.end(), journalled.begin(), journalled.end());
  std::ranges::sort(instances);
  const auto twice = std::ranges::unique(instances);
  instances.erase(twice.begin(), twice.end());
  return instances;
}

// False: it could not be done, which was said.
bool unpin(ports::EnforcementPlace place) {
  const auto name = escaped(place.instance());
  const auto folder = place.folder;
  ports::Enforcement enforcement(std::move(place));
  const auto removed = enforcement.remove();
  if (!removed) {
    fail(name + ": " + removed.error());
    return false;
  }
  const auto reservation = removed->reservation.text();
  std::printf("%s: guard %s, reservation %s\n", name.c_str(), removed->guard ? "taken away" : "not there",
              reservation.empty() ? "not there" : ("taken away: " + reservation).c_str());
  if (removed->guard && reservation.empty()) {
    fail(name + ": no journal of its reservation in " + folder +
         "; if it is in another folder, name the configuration: tlsmux ports unpin CONFIG");
  }
  return true;
}

}  // namespace

int run_ports_unpin(const PortsUnpinOptions& options) {
  config::Config config;
  config.engine.control_socket = control_socket_or_usual(options.control_socket);
  if (!options.config.empty()) {
    auto loaded = config::load(options.config);
    if (!loaded) {
      std::fputs(config::format_errors(options.config, loaded.error()).c_str(), stderr);
      return kExitFailed;
    }
    config = std::move(*loaded);
  }
  if (const auto server = find_server(options, config)) return fail(*server);
  const auto place = ports::place_of(config.engine);
  const auto instances = instances_at(place, options.all);
  bool is_done = true;
  for (const auto& instance : instances) {
    auto one = place;
    one.guard.instance = instance;
    is_done = unpin(std::move(one)) && is_done;
  }
  if (instances.empty()) std::puts("nothing is pinned here");
  return is_done ? kExitDone : kExitFailed;
}

}  // namespace tlsmux::client::cli
