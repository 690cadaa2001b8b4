#include "client/cli/ports_apply.hpp"

#include <unistd.h>

#include <cstdio>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/exit_code.hpp"
#include "client/cli/served_group.hpp"
#include "client/cli/table.hpp"
#include "config/config_file.hpp"
#include "config/identity.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/diagnosis/machine_check.hpp"
#include "ports/enforcement/enforcement.hpp"

namespace tlsmux::client::cli {
namespace {

using shm::PortEnforcement;

int refuse(const std::string& path, const config::ConfigErrors& errors) {
  std::fputs(config::format_errors(path, errors).c_str(), stderr);
  return kExitFailed;
}

// The group that is served, and by whom.
std::optional<std::string> find_server(const config::Config& config) {
  for (const auto& group : config.groups) {
    if (const auto server = served_by(group.name))
      return *server + ", whose tlsmuxd looks after its ports: use tlsmux refresh";
  }
  return std::nullopt;
}

const char* word_of(bool is_wanted, PortEnforcement state) {
  if (!is_wanted) return "off";
  return state == PortEnforcement::on ? "on" : "missing";
}

std::string table_of(const config::Config& config, const ports::EnforcementState& state) {
  Table table({"GROUP", "TCP", "UDP", "RESERVATION", "GUARD", "HOLDERS"});
  for (const auto& group : config.groups) {
    const auto plan = ports::make_plan(group);
    const auto& wanted = group.ports.enforcement;
    table.add({escaped(group.name), std::to_string(plan.all(ports::Protocol::tcp).count()),
               std::to_string(plan.all(ports::Protocol::udp).count()),
               word_of(wanted.reservation, state.reservation.state), word_of(wanted.guard, state.guard.state),
               wanted.holders ? "while tlsmuxd runs" : "off"});
  }
  return table.text();
}

bool say_what_is_missing(const char* level, const ports::LevelState& state) {
  if (!state.text.empty()) std::fprintf(stderr, "tlsmux ports apply: %s: %s\n", level, escaped(state.text).c_str());
  return state.state == PortEnforcement::missing;
}

std::expected<uid_t, std::string> engine_uid(const config::EngineSettings& engine) {
  if (engine.user.empty()) return ::geteuid();
  return config::resolve_user(engine.user);
}

}  // namespace

int run_ports_apply(const std::string& path) {
  if (const auto errors = config::find_errors(path); !errors.empty()) return refuse(path, errors);
  const auto config = config::load(path);
  if (!config) return refuse(path, config.error());
  if (const auto server = find_server(*config)) return refuse(path, {{.pointer = {}, .message = *server}});
  const auto found = ports::check_machine(*config);
  for (const auto& use : found.in_use) std::fprintf(stderr, "tlsmux ports apply: %s\n", escaped(use.text()).c_str());
  if (!found.errors.empty()) return refuse(path, found.errors);
  const auto uid = engine_uid(config->engine);
  if (!uid) return refuse(path, {{.pointer = "/engine/user", .message = uid.error()}});
  const auto order = ports::make_order(*config, *uid);
  if (!order) return refuse(path, order.error());

  ports::Enforcement enforcement(ports::place_of(config->engine));
  const auto state = enforcement.apply(*order);
  std::fputs(table_of(*config, state).c_str(), stdout);
  const bool lacks_reservation = say_what_is_missing("reservation", state.reservation);
  const bool lacks_guard = say_what_is_missing("guard", state.guard);
  if (!lacks_reservation && !lacks_guard) return kExitDone;
  if (::geteuid() != 0) {
    std::fprintf(stderr, "tlsmux ports apply: this takes root, and is uid %u\n", static_cast<unsigned>(::geteuid()));
  }
  return kExitFailed;
}

}  // namespace tlsmux::client::cli
