#include "shm/client_part.hpp"

#include <atomic>

#include "shm/assert.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::shm {

void format_client(std::span<std::byte> memory, const ClientGeometry& geometry, const BootId& boot_id,
                   std::uint64_t client_id) {
  TMX_ASSERT(geometry.valid() && memory.size() == geometry.total_bytes());
  auto& header = *reinterpret_cast<ClientHeader*>(memory.data());
  header.magic = kClientMagic;
  header.header_bytes = sizeof header;
  header.total_bytes = geometry.total_bytes();
  header.boot_id = boot_id;
  header.client_id = client_id;
  header.channel_count = geometry.channels;
  header.slots_per_channel = geometry.slots_per_channel;
  header.slot_bytes = geometry.slot_bytes;
  header.ring_entries = geometry.ring_entries();
  header.channels_offset = geometry.channels_offset();
  header.channel_stride = geometry.channel_stride();
  header.leases_offset = geometry.leases_offset();
  header.leases_bytes = kLeaseBytes;
  header.version.store(kLayoutVersion, std::memory_order_release);
}

void reset_channel(std::span<std::byte> memory, const ClientGeometry& geometry, std::uint32_t channel) {
  TMX_ASSERT(geometry.valid() && memory.size() == geometry.total_bytes() && channel < geometry.channels);
  auto* const start = memory.data() + geometry.channel_offset(channel);
  auto& header = *reinterpret_cast<ChannelHeader*>(start);
  for (auto* indexes : {&header.requests, &header.completions}) {
    indexes->tail.store(0, std::memory_order_relaxed);
    indexes->head.store(0, std::memory_order_relaxed);
    indexes->seen.store(0, std::memory_order_relaxed);
  }
  const std::span controls(reinterpret_cast<SlotControl*>(start + geometry.slot_controls_offset()),
                           geometry.slots_per_channel);
  for (auto& control : controls) std::atomic_ref(control.seen_generation).store(0, std::memory_order_relaxed);
  auto& lease = header.trace_numbers;
  for (auto* word : {&lease.granted, &lease.taken, &lease.asked}) word->store(0, std::memory_order_relaxed);
  disarm(header.client_armed);
}

}  // namespace tlsmux::shm
