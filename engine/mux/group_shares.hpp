#pragma once

// How the groups share the places of the request table. Half of it is guaranteed, to each group the same part; the other half is
// whoever's who comes first. So a group whose hosts are slow can hold much of the table and never the part of another. Every call
// but the last two is O(1).

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tlsmux::engine::mux {

class GroupShares {
 public:
  GroupShares(std::size_t capacity, std::size_t groups) : capacity_(capacity) { set_groups(groups); }

  // One more request of the group leaves the others what they are guaranteed.
  [[nodiscard]] bool may_take(std::uint32_t group) const {
    const auto& share = shares_[group];
    return share.held < share.guaranteed ? taken_ < capacity_ : taken_ + lacking_ < capacity_;
  }
  void take(std::uint32_t group) {
    auto& share = shares_[group];
    if (share.held++ < share.guaranteed) --lacking_;
    ++taken_;
  }
  void give_back(std::uint32_t group) {
    auto& share = shares_[group];
    if (--share.held < share.guaranteed) ++lacking_;
    --taken_;
  }

  // So many from now on; never fewer than before. What they hold may be more than is theirs now, and is until it is given back.
  void set_groups(std::size_t groups);
  // It has no part any more; what it holds, until that is given back.
  void remove(std::uint32_t group);

 private:
  struct Share {
    std::size_t held = 0;
    std::size_t guaranteed = 0;
    bool is_removed = false;
  };

  void divide();

  std::size_t capacity_;
  std::size_t taken_ = 0;
  std::size_t lacking_ = 0;  // what all groups together hold less than is guaranteed to them
  std::vector<Share> shares_;
};

}  // namespace tlsmux::engine::mux
