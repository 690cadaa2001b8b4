#pragma once

// For each group, what the next client will need, made while nobody waits: allocating and clearing memory takes longer
// than all else of an attach. Only of the kind that was asked for last, and only what is small.

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/control/client_memory.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::engine::control {

class ClientSpares {
 public:
  static constexpr std::uint64_t kBytesMax = 1 << 20;  // of one client

  // The spare memory of this geometry, if there is one; not formatted. From now on one of this kind is wanted.
  std::optional<ClientMemory> take(std::uint32_t group, const shm::ClientGeometry& geometry);
  // One is wanted, and is not there.
  [[nodiscard]] bool is_short() const;
  // Makes what is wanted. What cannot be made is wanted no more.
  void make();
  // Gives all back, until clients come again.
  void drop() { groups_.clear(); }

 private:
  struct Group {
    std::optional<shm::ClientGeometry> wanted;
    std::optional<ClientMemory> spare;
  };
  std::vector<Group> groups_;
};

}  // namespace tlsmux::engine::control
