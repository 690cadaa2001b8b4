#pragma once

// Keeps others off the configured groups' ports, as far as that takes privilege: reservation and guard
// (ports/enforcement/enforcement.hpp), and the sockets that hold ports. What cannot be had is logged once, with what is missing, and
// the rest is in place.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"
#include "engine/broker/guard_admissions.hpp"
#include "engine/broker/port_levels.hpp"
#include "engine/log/log.hpp"
#include "ports/book/port_set.hpp"
#include "ports/diagnosis/socket_owner.hpp"
#include "ports/enforcement/enforcement.hpp"
#include "ports/enforcement/holder_sockets.hpp"
#include "ports/protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// One for each broker, of one thread.
class PortEnforcement {
 public:
  PortEnforcement(const config::EngineSettings& engine, uid_t engine_uid, Log& log);

  // What stands against a configuration that shall be taken up: ports of other engines, and levels that it asks for
  // anew and that cannot be had here. Changes nothing. `present` is the one that is in force; null: none.
  config::ConfigErrors find_errors(const config::Config& wanted, const config::Config* present) const;

  // This is the configuration now.
  void apply(const config::Config& config);
  // Puts back what somebody else has taken away, such as by writing the kernel's list anew, and tries what is missing
  // again. For every few seconds.
  void repair();
  // An eventfd for an engine: counts when repair() had something to do.
  [[nodiscard]] std::expected<shm::UniqueFd, shm::SystemError> changes() const;
  // tlsmuxd stops: what is to be without it stays, the rest goes.
  void leave();

  [[nodiscard]] PortLevels levels_of(const config::GroupSettings& group) const;
  // Of these sockets; those on ports that no group has, or had since tlsmuxd started, are nobody's business.
  std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_owners(
      std::span<const std::uint64_t> socket_inodes) const;

  // ENOENT: there is no guard.
  std::expected<std::vector<shm::UniqueFd>, shm::SystemError> guard_events();
  // Errors as in broker_client.hpp.
  std::expected<void, shm::SystemError> admit(const std::string& group, std::uint32_t pid);
  std::expected<void, shm::SystemError> dismiss(const std::string& group, std::uint32_t pid);
  // Readable when an admitted process is dead.
  [[nodiscard]] int deaths() const { return admissions_.descriptor(); }
  void on_deaths();

 private:
  struct Holders {
    ports::HolderSockets sockets;
    PortLevel level;
    ports::PortSet wanted;
    std::optional<uid_t> user;  // in whose name; none: the group has not one user
  };

  ports::EnforcementState enforce(const config::Config& config);
  void apply_admissions(const config::Config& config);
  void apply_holders(const config::Config& config);
  void hold(const config::GroupSettings& group);
  void hold(const std::string& group, Holders& holders);
  // Whether there was something to do, and it was done.
  bool repair_levels();
  bool repair_holders();
  void log_what_is_new(const ports::EnforcementState& before);
  void warn_of_ports_in_use(const config::Config& config);

  ports::Enforcement enforcement_;
  ports::EnforcementOrder order_;  // what was last applied
  bool is_order_known_ = true;     // false: the configuration's could not be made, and this is the one before
  ports::EnforcementState state_;
  uid_t engine_uid_;
  Log& log_;
  std::map<std::string, Holders> holders_;  // by group
  GuardAdmissions admissions_;
  shm::UniqueFd changes_;
  std::array<ports::PortSet, 2> known_;  // every port of a group since the start, by protocol
  std::set<ports::Port> warned_of_;      // that strangers have them
};

}  // namespace tlsmux::engine::broker
