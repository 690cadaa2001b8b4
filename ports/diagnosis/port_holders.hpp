#pragma once

// The processes that have ports of a group, and how many each has. Of the living only: whoever is dead is removed, so
// that a later process with its pid has nothing of it.

#include <array>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ports/book/port_entry.hpp"

namespace tlsmux::ports {

class PortHolders {
 public:
  using Id = std::uint64_t;
  static constexpr Id kNobody = 0;

  enum class Share : std::uint8_t { fixed, dynamic, lease };

  // Of a process with neither pid nor inode nothing can be told.
  [[nodiscard]] static bool is_known(const PortOwner& owner) { return owner.pid != 0 || owner.pidfd_inode != 0; }

  [[nodiscard]] Id find(const PortOwner& owner) const;
  // Finds it or makes it. What the owner tells of itself for the first time, its inode or its pid, is kept.
  Id enter(const PortOwner& owner);

  // Pairs: what was added as a share is removed as the same. A holder ends with its last port.
  void add(Id holder, Port port, Share share);
  void remove(Id holder, Port port, Share share);
  void change(Id holder, Port port, Share from, Share to);

  // The ports of a holder.
  [[nodiscard]] std::vector<Port> ports(Id holder) const;
  // Dynamic ones, leases included.
  [[nodiscard]] std::uint32_t dynamic(Id holder, Protocol protocol) const;
  [[nodiscard]] std::uint32_t leases(Id holder, Protocol protocol) const;
  [[nodiscard]] std::uint32_t all_leases(Protocol protocol) const { return all_leases_[index_of(protocol)]; }

 private:
  struct PortHash {
    std::size_t operator()(Port port) const { return index_of(port.protocol) << 16 | port.number; }
  };
  struct Holding {
    std::uint32_t pid = 0;
    std::uint64_t pidfd_inode = 0;
    std::unordered_set<Port, PortHash> ports;
    std::array<std::uint32_t, 2> dynamic{};
    std::array<std::uint32_t, 2> leases{};
  };

  void count(Holding& holding, Protocol protocol, Share share, std::uint32_t more);
  void forget(Id holder);

  std::unordered_map<Id, Holding> holdings_;
  std::unordered_map<std::uint64_t, Id> by_inode_;
  std::unordered_multimap<std::uint32_t, Id> by_pid_;
  std::array<std::uint32_t, 2> all_leases_{};
  Id last_ = kNobody;
};

}  // namespace tlsmux::ports
