#include "engine/mux/group_shares.hpp"

#include <algorithm>

namespace tlsmux::engine::mux {

void GroupShares::set_groups(std::size_t groups) {
  shares_.resize(groups);
  divide();
}

void GroupShares::remove(std::uint32_t group) {
  shares_[group].is_removed = true;
  divide();
}

void GroupShares::divide() {
  const auto sharing = static_cast<std::size_t>(std::ranges::count(shares_, false, &Share::is_removed));
  lacking_ = 0;
  for (auto& share : shares_) {
    share.guaranteed = share.is_removed ? 0 : capacity_ / (2 * sharing);
    if (share.held < share.guaranteed) lacking_ += share.guaranteed - share.held;
  }
}

}  // namespace tlsmux::engine::mux
