#pragma once

// A network namespace with a real tlsmuxd in it that has the ports of two groups, and users who are members of the one,
// the other, or neither.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "ports/diagnosis/socket_diagnosis.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {

// Of the first group, each by other means: as one of its users, by its Unix group, by that as a supplementary one.
inline const Identity kFirstUser{.uid = 1701, .gid = 1800};
inline const Identity kFirstByGid{.uid = 1801, .gid = 1702};
inline const Identity kFirstBySupplement{.uid = 1802, .gid = 1800, .groups = {1900, 1702}};
inline const Identity kSecondUser{.uid = 1711, .gid = 1800};
// Root is one.
inline const Identity kOutsider{.uid = 1703, .gid = 1800, .groups = {1900}};
inline const Identity kRoot{};

// As the configuration has them unless a test changes it. All of both protocols.
inline constexpr config::DynamicPortSettings kFirstRange{.from = 12'000, .to = 12'099};
inline constexpr config::DynamicPortSettings kSecondRange{.from = 13'000, .to = 13'049};
inline constexpr std::uint16_t kFirstStatic = 12'500;   // "first"
inline constexpr std::uint16_t kSecondStatic = 13'500;  // "second"
inline constexpr std::uint16_t kLowStatic = 700;        // "low", of the first group: below 1024

class PortScene {
  Residue residue_;
  TemporaryFolder folder_;

 public:
  using Change = std::function<void(config::Config&)>;
  // With the guard, both groups also have the reservation. Throws what makes the test fail.
  enum class Level : std::uint8_t { interface, guard };
  explicit PortScene(Level level = Level::interface, const Change& change = {});
  ~PortScene();
  PortScene(const PortScene&) = delete;
  PortScene& operator=(const PortScene&) = delete;

  config::Config config;

  [[nodiscard]] const std::string& first() const { return config.groups[0].name; }
  [[nodiscard]] const std::string& second() const { return config.groups[1].name; }
  EngineProcess& engine() { return *engine_; }
  // Another tlsmuxd, after the one before has ended.
  void start_engine();
  // Writes the present configuration and refreshes the engine.
  CommandResult refresh();
  void stop() { CHECK(engine_->stop() == 0); }

  [[nodiscard]] const NetworkNamespace& network() const { return rig_ ? rig_->network() : *network_; }
  // Of a scene with a guard.
  [[nodiscard]] const GuardRig& rig() const { return *rig_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  // Of one of its two groups as configured, static and dynamic. All are of both protocols.
  [[nodiscard]] ports::PortSet ports_of(std::size_t group) const;
  // For children of one's own: namespace, cgroup, user, and where the engine is found.
  void enter(const Identity& who) const;
  // What `run` returns in such a process.
  [[nodiscard]] int as(const Identity& who, const std::function<int()>& run) const;

  // What the kernel says. Connections that linger are left out.
  [[nodiscard]] std::vector<ports::SocketFact> sockets(ports::Protocol protocol, const ports::PortSet& ports) const;
  [[nodiscard]] std::vector<ports::SocketFact> sockets(ports::Port port) const;

 private:
  std::unique_ptr<GuardRig> rig_;
  std::unique_ptr<NetworkNamespace> network_;
  std::unique_ptr<EngineProcess> engine_;
};

ports::PortSet set_of(const config::DynamicPortSettings& range);

}  // namespace tlsmux::test
