#pragma once

// One group at the desk for ports: its book, its tables, and what holds for it.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "config/identity.hpp"
#include "config/settings_tree.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/control/throttle.hpp"
#include "engine/log/log.hpp"
#include "engine/ports/port_tables.hpp"
#include "ports/book/port_book.hpp"
#include "ports/book/port_set.hpp"
#include "ports/guard.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine {

class PortGroup {
 public:
  struct Parts {
    config::Membership membership;
    shm::GroupPart part;
    std::shared_ptr<const shm::Mapping> memory;  // of the part; null: somebody else keeps it
    std::int64_t wall_offset_s = 0;
  };

  // The log outlives it.
  PortGroup(const config::GroupSettings& settings, Parts parts, Log& log);

  [[nodiscard]] ports::PortBook& book() { return book_; }
  [[nodiscard]] const ports::PortBook& book() const { return book_; }
  [[nodiscard]] PortTables& tables() { return tables_; }
  [[nodiscard]] const PortTables& tables() const { return tables_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const config::Membership& membership() const { return membership_; }

  // Other settings. What is held and not the group's any more stays with its owner.
  void change(const config::GroupSettings& settings, config::Membership membership, std::uint64_t now_ns);

  [[nodiscard]] const broker::PortLevels& enforcement() const { return enforcement_; }
  void set_enforcement(broker::PortLevels enforcement);
  // A socket that only keeps a port for the group.
  [[nodiscard]] bool is_holder(std::uint64_t socket_inode) const;

  // Whether the settings give it any.
  [[nodiscard]] bool has_ports() const { return has_ports_; }
  // Ports that are not free.
  [[nodiscard]] const ports::PortSet& held(ports::Protocol protocol) const { return held_[index_of(protocol)]; }
  [[nodiscard]] bool is_anything_held() const { return !held_[0].empty() || !held_[1].empty(); }
  // The entries of ports that are not free.
  [[nodiscard]] std::vector<const ports::PortEntry*> entries() const;

  // A bind of this group's port that the guard refused.
  void deny(const ports::GuardEvent& event, std::uint64_t now_ns);
  void set_denials_lost(std::uint64_t lost) { denials_lost_ = lost; }

  // After anything that may have changed the book: time goes on in it, and the tables show what has changed.
  void publish(std::uint64_t now_ns);
  // When publish() is due again by time alone; 0: never.
  [[nodiscard]] std::uint64_t due_ns() const { return due_ns_; }
  // Once their owners were looked for: ports that are held by sockets nobody claimed, each once.
  void log_external();

 private:
  void write_summary();

  std::string name_;
  config::SettingsNode settings_;
  config::Membership membership_;
  std::shared_ptr<const shm::Mapping> memory_;
  Log& log_;
  ports::PortBook book_;
  PortTables tables_;
  broker::PortLevels enforcement_;
  std::array<ports::PortSet, 2> held_;
  struct External {
    std::uint64_t socket_inode = 0;
    bool is_logged = true;
  };
  std::map<ports::Port, External> external_;
  control::Throttle denials_throttle_;
  std::uint64_t denials_lost_ = 0;
  std::uint64_t due_ns_ = 0;
  bool has_ports_ = false;
  bool is_full_logged_ = false;
};

}  // namespace tlsmux::engine
