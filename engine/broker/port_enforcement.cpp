#include "engine/broker/port_enforcement.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "config/identity.hpp"
#include "config/json/json_pointer.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/diagnosis/machine_check.hpp"
#include "ports/diagnosis/socket_diagnosis.hpp"

namespace tlsmux::engine::broker {
namespace {

using shm::PortEnforcement::missing;
using shm::PortEnforcement::off;
using shm::PortEnforcement::on;

constexpr std::size_t kWarningsMax = 16;  // of ports in use, at one time
constexpr std::size_t kFailuresShown = 3;

std::unexpected<shm::SystemError> refused(int code, std::string message) {
  return std::unexpected(shm::SystemError{.code = code, .message = std::move(message)});
}

std::string_view word_of(shm::PortEnforcement state) {
  switch (state) {
    case off: return "off";
    case on: return "on";
    case missing: break;
  }
  return "missing";
}

std::vector<std::string> names_of(const config::Config* config) {
  std::vector<std::string> names;
  if (config != nullptr)
    std::ranges::transform(config->groups, std::back_inserter(names), &config::GroupSettings::name);
  return names;
}

// For the first group that asks for the level.
void refuse_level(const config::Config& config, bool config::PortEnforcementSettings::* level, std::string_view name,
                  const std::string& why, config::ConfigErrors& errors) {
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    if (!(config.groups[i].ports.enforcement.*level)) continue;
    auto pointer = config::pointer_to(config::pointer_to("/groups", i), "ports");
    pointer = config::pointer_to(config::pointer_to(pointer, "enforcement"), name);
    errors.push_back({.pointer = std::move(pointer), .message = "cannot be had here: " + why});
    return;
  }
}

std::string text_of(const std::vector<ports::HolderSockets::Failure>& failures, std::size_t wanted) {
  auto text = std::to_string(failures.size()) + " of " + std::to_string(wanted) + " ports cannot be held:";
  for (std::size_t i = 0; i < std::min(failures.size(), kFailuresShown); ++i) {
    const auto& failure = failures[i];
    text += (i == 0 ? " " : "; ") + std::to_string(failure.port) + ": " + std::strerror(failure.error);
    if (failure.error == EADDRINUSE) text += " by a socket without SO_REUSEPORT, or of another user";
    if (failure.error == EPERM) text += ", needs CAP_CHOWN";
    if (failure.error == EACCES) text += ", needs CAP_NET_BIND_SERVICE";
  }
  return failures.size() > kFailuresShown ? text + "; ..." : text;
}

}  // namespace

PortEnforcement::PortEnforcement(const config::EngineSettings& engine, uid_t engine_uid, Log& log)
    : enforcement_(ports::place_of(engine)),
      engine_uid_(engine_uid),
      log_(log),
      changes_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

config::ConfigErrors PortEnforcement::find_errors(const config::Config& wanted, const config::Config* present) const {
  auto errors = ports::check_machine(wanted, names_of(present)).errors;
  // Without one of its levels tlsmuxd starts all the same. But what works is not given up for what does not.
  if (present == nullptr) return errors;
  const auto order = ports::make_order(wanted, engine_uid_);
  if (!order) {
    std::ranges::copy(order.error(), std::back_inserter(errors));
    return errors;
  }
  const auto possible = enforcement_.probe(*order);
  const auto is_worse = [](const ports::LevelState& then, const ports::LevelState& now) {
    return then.state == missing && now.state != missing;
  };
  if (is_worse(possible.reservation, state_.reservation)) {
    refuse_level(wanted, &config::PortEnforcementSettings::reservation, "reservation", possible.reservation.text,
                 errors);
  }
  if (is_worse(possible.guard, state_.guard)) {
    refuse_level(wanted, &config::PortEnforcementSettings::guard, "guard", possible.guard.text, errors);
  }
  return errors;
}

void PortEnforcement::apply(const config::Config& config) {
  warn_of_ports_in_use(config);
  for (const auto& group : config.groups) {
    const auto plan = ports::make_plan(group);
    for (const auto protocol : ports::kProtocols) known_[index_of(protocol)] |= plan.all(protocol);
  }
  const auto before = std::exchange(state_, enforce(config));
  log_what_is_new(before);
  apply_admissions(config);
  apply_holders(config);
}

ports::EnforcementState PortEnforcement::enforce(const config::Config& config) {
  auto order = ports::make_order(config, engine_uid_);
  is_order_known_ = order.has_value();
  if (order) {
    order_ = std::move(*order);
    return enforcement_.apply(order_);
  }
  // An account has gone since the configuration was checked. What is in place is right for the one before.
  const auto& why = order.error().front();
  const ports::LevelState state{.state = missing, .text = why.pointer + ": " + why.message};
  return {.reservation = state, .guard = state};
}

void PortEnforcement::apply_admissions(const config::Config& config) {
  std::map<std::string, GuardAdmissions::Rule> rules;
  for (const auto& group : config.groups) {
    if (!group.ports.enforcement.guard) continue;
    auto members = config::resolve_membership(group, "");
    if (!members) continue;
    rules[group.name] = {.members = std::move(*members), .processes_max = group.memory.clients_max};
  }
  admissions_.set_rules(std::move(rules), enforcement_.guard());
}

void PortEnforcement::apply_holders(const config::Config& config) {
  std::erase_if(holders_, [&](const auto& entry) {
    const auto group = std::ranges::find(config.groups, entry.first, &config::GroupSettings::name);
    return group == config.groups.end() || !group->ports.enforcement.holders;
  });
  for (const auto& group : config.groups) {
    if (group.ports.enforcement.holders) hold(group);
  }
}

void PortEnforcement::hold(const config::GroupSettings& group) {
  auto& holders = holders_[group.name];
  holders.wanted = ports::make_plan(group).all(ports::Protocol::tcp);
  const auto members = config::resolve_membership(group, "");
  if (members && members->users.size() == 1) {
    holders.user = members->users.front();
  } else {
    holders.user.reset();
  }
  hold(group.name, holders);
}

void PortEnforcement::hold(const std::string& group, Holders& holders) {
  const auto before = std::exchange(holders.level, {.state = on, .text = {}});
  if (holders.user) {
    const auto failures = holders.sockets.hold(holders.wanted, *holders.user);
    if (!failures.empty()) holders.level = {.state = missing, .text = text_of(failures, holders.wanted.count())};
  } else {
    holders.level = {.state = missing, .text = "ports can be held in the name of one user only"};
  }
  if (holders.level.state == missing && holders.level.text != before.text) {
    log_.warning("ports_holders_missing", {{"group", group}, {"error", holders.level.text}});
  }
}

void PortEnforcement::log_what_is_new(const ports::EnforcementState& before) {
  const auto log_missing = [&](std::string_view event, const ports::LevelState& then, const ports::LevelState& now) {
    if (now != then && !now.text.empty()) log_.warning(event, {{"error", now.text}});
  };
  log_missing("ports_reservation_missing", before.reservation, state_.reservation);
  log_missing("ports_guard_missing", before.guard, state_.guard);
  if (state_.reservation.state == before.reservation.state && state_.guard.state == before.guard.state) return;
  log_.info("ports_enforced", {{"instance", enforcement_.place().instance()},
                               {"reservation", word_of(state_.reservation.state)},
                               {"guard", word_of(state_.guard.state)}});
}

void PortEnforcement::warn_of_ports_in_use(const config::Config& config) {
  std::size_t count = 0;
  for (const auto& use : ports::check_machine(config, names_of(&config)).in_use) {
    if (!warned_of_.insert(use.port).second || ++count > kWarningsMax) continue;
    log_.warning("port_in_use", {{"group", use.group},
                                 {"port", use.port.number},
                                 {"protocol", name(use.port.protocol)},
                                 {"pid", use.pid},
                                 {"uid", use.uid},
                                 {"program", use.program},
                                 {"means", "it is given to nobody until that process lets go of it"}});
  }
  if (count > kWarningsMax) log_.warning("ports_in_use", {{"more", count - kWarningsMax}});
}

void PortEnforcement::repair() {
  const bool is_changed = repair_levels();
  if (!repair_holders() && !is_changed) return;
  // Its one error is a count that is full already.
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto told = ::write(changes_.get(), &one, sizeof one);
}

// What was missing may be had by now: a bpffs is mounted late, another process was changing something at that moment.
bool PortEnforcement::repair_levels() {
  const bool is_lost = !enforcement_.is_in_place(order_, state_);
  const bool is_missing = state_.reservation.state == missing || state_.guard.state == missing;
  if (!is_lost && !(is_missing && is_order_known_)) return false;
  if (is_lost) {
    log_.warning("ports_enforcement_lost",
                 {{"means", "reservation or guard was taken away by others; it is put back"}});
  }
  const auto before = std::exchange(state_, enforcement_.apply(order_));
  log_what_is_new(before);
  if (!is_lost && state_ == before) return false;
  // A guard that was put back knows nobody.
  admissions_.admit_again(enforcement_.guard());
  return true;
}

// Whoever had the ports that could not be held may have let go of them.
bool PortEnforcement::repair_holders() {
  bool is_changed = false;
  for (auto& [group, holders] : holders_) {
    if (holders.level.state != missing || !holders.user) continue;
    const auto count = holders.sockets.count();
    hold(group, holders);
    is_changed = is_changed || holders.sockets.count() != count;
  }
  return is_changed;
}

std::expected<shm::UniqueFd, shm::SystemError> PortEnforcement::changes() const {
  shm::UniqueFd copy(::fcntl(changes_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return std::unexpected(shm::last_error("handing over what tells of changes of the ports' enforcement"));
  return copy;
}

void PortEnforcement::leave() {
  if (const auto left = enforcement_.leave(); !left) {
    log_.warning("ports_reservation_left", {{"error", left.error()}, {"needs", "tlsmux ports unpin CONFIG"}});
  }
}

PortLevels PortEnforcement::levels_of(const config::GroupSettings& group) const {
  const auto level = [](bool is_wanted, const ports::LevelState& state) {
    return is_wanted ? PortLevel{.state = state.state, .text = state.text} : PortLevel{};
  };
  const auto& wanted = group.ports.enforcement;
  PortLevels levels{.reservation = level(wanted.reservation, state_.reservation),
                    .holders = {},
                    .guard = level(wanted.guard, state_.guard),
                    .holder_sockets = {}};
  if (const auto held = holders_.find(group.name); held != holders_.end()) {
    levels.holders = held->second.level;
    const auto& inodes = held->second.sockets.inodes();
    levels.holder_sockets.assign(inodes.begin(), inodes.end());
    std::ranges::sort(levels.holder_sockets);
  }
  return levels;
}

std::expected<std::vector<ports::SocketOwner>, shm::SystemError> PortEnforcement::find_owners(
    std::span<const std::uint64_t> socket_inodes) const {
  auto diagnosis = ports::SocketDiagnosis::open();
  if (!diagnosis) return std::unexpected(diagnosis.error());
  std::unordered_set<std::uint64_t> on_our_ports;
  for (const auto protocol : ports::kProtocols) {
    const auto& ports = known_[index_of(protocol)];
    if (ports.empty()) continue;
    const auto sockets = diagnosis->sockets(protocol, ports);
    if (!sockets) return std::unexpected(sockets.error());
    for (const auto& socket : *sockets) on_our_ports.insert(socket.inode);
  }
  std::vector<std::uint64_t> wanted;
  std::ranges::copy_if(socket_inodes, std::back_inserter(wanted),
                       [&](auto inode) { return inode != 0 && on_our_ports.contains(inode); });
  if (wanted.empty()) return {};
  return ports::find_socket_owners(wanted);
}

std::expected<std::vector<shm::UniqueFd>, shm::SystemError> PortEnforcement::guard_events() {
  if (enforcement_.guard() == nullptr) return refused(ENOENT, "there is no guard");
  return enforcement_.guard()->event_descriptors();
}

std::expected<void, shm::SystemError> PortEnforcement::admit(const std::string& group, std::uint32_t pid) {
  if (enforcement_.guard() == nullptr) return refused(ENOENT, "there is no guard");
  return admissions_.admit(group, static_cast<pid_t>(pid), *enforcement_.guard());
}

std::expected<void, shm::SystemError> PortEnforcement::dismiss(const std::string& group, std::uint32_t pid) {
  if (enforcement_.guard() == nullptr) return refused(ENOENT, "there is no guard");
  admissions_.dismiss(group, static_cast<pid_t>(pid), *enforcement_.guard());
  return {};
}

void PortEnforcement::on_deaths() {
  if (enforcement_.guard() != nullptr) admissions_.dismiss_dead(*enforcement_.guard());
}

}  // namespace tlsmux::engine::broker
