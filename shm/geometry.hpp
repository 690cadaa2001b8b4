#pragma once

// Where things lie in a client's part, computed from three numbers. Both sides compute it for themselves; the offsets
// in the shared header are for tools.

#include <bit>
#include <cstdint>

#include "shm/layout.hpp"

namespace tlsmux::shm {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kLeaseBytes = 4096;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

struct ClientGeometry {
  std::uint32_t channels = 0;
  std::uint32_t slots_per_channel = 0;
  std::uint32_t slot_bytes = 0;

  // True when the numbers keep to config/limits.hpp. The functions below hold only then.
  [[nodiscard]] constexpr bool valid() const {
    return channels >= 1 && channels <= config::kChannelsPerClientMax &&
           slots_per_channel >= config::kSlotsPerChannelMin && slots_per_channel <= config::kSlotsPerChannelMax &&
           slots_per_channel % 2 == 0 && slot_bytes >= config::kSlotBytesMin && slot_bytes <= config::kSlotBytesMax &&
           total_bytes() <= config::kClientMemoryBytesMax;
  }

  // Each request holds two slots, so half as many entries would do; a power of two makes the mask.
  [[nodiscard]] constexpr std::uint32_t ring_entries() const { return std::bit_ceil(slots_per_channel); }
  [[nodiscard]] constexpr std::uint64_t slot_stride() const { return round_up(slot_bytes, kCacheLineBytes); }

  // Offsets within a channel.
  [[nodiscard]] constexpr std::uint64_t requests_offset() const { return sizeof(ChannelHeader); }
  [[nodiscard]] constexpr std::uint64_t completions_offset() const {
    return requests_offset() + std::uint64_t{ring_entries()} * sizeof(RequestDescriptor);
  }
  [[nodiscard]] constexpr std::uint64_t slot_controls_offset() const {
    return completions_offset() + std::uint64_t{ring_entries()} * sizeof(CompletionDescriptor);
  }
  [[nodiscard]] constexpr std::uint64_t slots_offset() const {
    return slot_controls_offset() + std::uint64_t{slots_per_channel} * sizeof(SlotControl);
  }
  [[nodiscard]] constexpr std::uint64_t channel_stride() const {
    return round_up(slots_offset() + slots_per_channel * slot_stride(), kPageBytes);
  }

  // Offsets within the client's part.
  [[nodiscard]] constexpr std::uint64_t leases_offset() const { return round_up(sizeof(ClientHeader), kPageBytes); }
  [[nodiscard]] constexpr std::uint64_t channels_offset() const { return leases_offset() + kLeaseBytes; }
  [[nodiscard]] constexpr std::uint64_t channel_offset(std::uint32_t channel) const {
    return channels_offset() + channel * channel_stride();
  }
  [[nodiscard]] constexpr std::uint64_t total_bytes() const { return channel_offset(channels); }
};

}  // namespace tlsmux::shm
