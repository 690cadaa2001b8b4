#include "engine/control/client_spares.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::engine::control {
namespace {

bool are_alike(const shm::ClientGeometry& one, const shm::ClientGeometry& other) {
  return one.channels == other.channels && one.slots_per_channel == other.slots_per_channel &&
         one.slot_bytes == other.slot_bytes;
}

}  // namespace

std::optional<ClientMemory> ClientSpares::take(std::uint32_t group, const shm::ClientGeometry& geometry) {
  if (groups_.size() <= group) groups_.resize(group + 1);
  auto& [wanted, spare] = groups_[group];
  wanted = geometry.total_bytes() <= kBytesMax ? std::optional(geometry) : std::nullopt;
  auto taken = std::exchange(spare, std::nullopt);
  if (taken && !are_alike(taken->geometry, geometry)) taken.reset();
  return taken;
}

bool ClientSpares::is_short() const {
  return std::ranges::any_of(groups_, [](const Group& group) { return group.wanted && !group.spare; });
}

void ClientSpares::make() {
  for (auto& [wanted, spare] : groups_) {
    if (!wanted || spare) continue;
    auto made = create_client_memory(*wanted);
    if (made) {
      made->mapping->enter_pages();
      spare = std::move(*made);
    } else {
      wanted.reset();
    }
  }
}

}  // namespace tlsmux::engine::control
