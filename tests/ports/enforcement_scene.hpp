#pragma once

// What the tests of reservation and guard together begin with.

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "ports/enforcement/enforcement.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

inline constexpr const char* kSysctl = "net/ipv4/ip_local_reserved_ports";
inline constexpr auto kOff = shm::PortEnforcement::off;
inline constexpr auto kOn = shm::PortEnforcement::on;
inline constexpr auto kMissing = shm::PortEnforcement::missing;

inline config::GroupSettings group_of(const std::string& name, std::uint16_t from, std::uint16_t to,
                                      bool guard = true) {
  config::GroupSettings group{
      .name = name, .users = {std::to_string(kMember)}, .unix_groups = {std::to_string(kMemberGroup)}, .memory = {}};
  group.ports.dynamic = {{.from = from, .to = to}};
  group.ports.enforcement = {.reservation = true, .holders = false, .guard = guard};
  return group;
}

inline ports::EnforcementOrder order_of(std::vector<config::GroupSettings> groups) {
  config::Config config;
  config.groups = std::move(groups);
  return ports::make_order(config, 0).value();
}

// Everything in a namespace, a bpffs and a folder of the test's own.
struct Scene {
  GuardRig rig;
  TemporaryFolder folder{"/dev/shm"};

  explicit Scene(const char* of_others = "") { rig.network().set_sysctl(kSysctl, of_others); }

  [[nodiscard]] ports::EnforcementPlace place(const std::string& instance = "one") const {
    return {.folder = folder.path(), .guard = rig.place(instance)};
  }
  [[nodiscard]] std::string list() const { return rig.network().sysctl(kSysctl); }
  [[nodiscard]] bool is_guarded(std::uint16_t port) const { return rig.bind(kStrangerIdentity, port) == EACCES; }
  [[nodiscard]] bool is_clean() const { return rig.pins().empty() && std::filesystem::is_empty(folder.path()); }

  // As by a process that ends afterwards.
  ports::EnforcementState apply(const ports::EnforcementOrder& order, const std::string& instance = "one") const {
    return apply(place(instance), order);
  }
  ports::EnforcementState apply(const ports::EnforcementPlace& at, const ports::EnforcementOrder& order) const {
    ports::EnforcementState state;
    rig.network().in_thread([&] { state = ports::Enforcement(at).apply(order); });
    return state;
  }
  void remove(const std::string& instance = "one") const {
    rig.network().in_thread([&] {
      const auto removed = ports::Enforcement(place(instance)).remove();
      REQUIRE_MESSAGE(removed.has_value(), removed.error());
    });
  }
};

}  // namespace tlsmux::test
