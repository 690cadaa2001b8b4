#pragma once

// Asks the kernel who holds ports, and the broker whose sockets those are, for all groups at once.

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/ports/port_group.hpp"
#include "engine/ports/port_world.hpp"
#include "ports/book/port_book.hpp"
#include "ports/book/port_set.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

// One thread. What it is made from outlives it.
class PortSweeper {
 public:
  explicit PortSweeper(PortWorld& world) : world_(world) {}

  // One sweep of the groups that are there: of all their ports, or of those that are not free. Each group's book is told;
  // nothing is if the kernel cannot be asked.
  std::expected<void, shm::SystemError> sweep(std::span<const std::unique_ptr<PortGroup>> groups, bool is_full,
                                              std::uint64_t now_ns);

  // Looks for the owners that the books want. True: some were found, and the books learn of them in the next sweep, which
  // should come at once. What was not found is not looked for again before forget().
  std::expected<bool, shm::SystemError> look_up_owners(std::span<const std::unique_ptr<PortGroup>> groups);
  // Processes have ended, or time has passed: sockets may have other owners.
  void forget() { asked_.clear(); }

 private:
  struct Found {
    ports::PortOwner owner;
    std::vector<gid_t> gids;
  };

  using Groups = std::span<const std::unique_ptr<PortGroup>>;

  [[nodiscard]] std::vector<ports::HeldPort> held_ports(const PortGroup& group, bool is_full) const;
  // Not by a socket that is known, but by a claim in another group that had the port before.
  static void add_claimed_elsewhere(const PortGroup& group, Groups groups, std::vector<ports::HeldPort>& held);
  [[nodiscard]] bool tells_more(const ports::SocketFact& one, const ports::SocketFact& other,
                                std::uint64_t known_inode) const;
  void add_owner(const PortGroup& group, ports::HeldPort& held) const;

  PortWorld& world_;
  std::array<std::vector<ports::SocketFact>, 2> facts_;  // by protocol, of the sweep under way
  std::unordered_map<std::uint64_t, Found> found_;       // by socket inode, for the next sweep
  std::unordered_set<std::uint64_t> asked_;
};

}  // namespace tlsmux::engine
