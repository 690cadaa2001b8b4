#pragma once

// How the groups of an upstream share what is held for long: its streams, and its leased sessions. As of the request table
// (group_shares.hpp) half is guaranteed, to each group the same part; the other half is whoever's who comes first. Counted anew
// each time that somebody asks, so that groups and capacity may have changed since. Of few things the part may be none.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class GuaranteedParts {
 public:
  // The upstream must outlive it.
  GuaranteedParts(const Upstream& upstream, std::size_t capacity);

  // The group has so many more. What groups hold that may not use the upstream any more is nobody's part.
  void hold(std::uint32_t group, std::size_t count = 1);
  // If there is another one: it leaves the other groups what they are guaranteed.
  [[nodiscard]] bool may_have_another(std::uint32_t group) const;

 private:
  const Upstream* upstream_;
  std::size_t capacity_;
  std::size_t guaranteed_;  // to each group
  std::size_t lacking_;     // what all groups together hold less than that
  std::size_t taken_ = 0;
  std::vector<std::size_t> held_;  // by group; may be shorter than there are
};

}  // namespace tlsmux::engine::mux
