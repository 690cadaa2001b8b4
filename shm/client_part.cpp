#include "shm/client_part.hpp"

#include "shm/assert.hpp"

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

}  // namespace tlsmux::shm
