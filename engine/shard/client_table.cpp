#include "engine/shard/client_table.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

Channel lay_out(std::span<std::byte> memory, const shm::ClientGeometry& geometry, std::uint32_t number) {
  auto* const start = memory.data() + geometry.channel_offset(number);
  Channel channel;
  channel.header = reinterpret_cast<shm::ChannelHeader*>(start);
  channel.requests = {
      &channel.header->requests,
      {reinterpret_cast<shm::RequestDescriptor*>(start + geometry.requests_offset()), geometry.ring_entries()}};
  channel.completions = {
      &channel.header->completions,
      {reinterpret_cast<shm::CompletionDescriptor*>(start + geometry.completions_offset()), geometry.ring_entries()}};
  channel.controls = {reinterpret_cast<shm::SlotControl*>(start + geometry.slot_controls_offset()),
                      geometry.slots_per_channel};
  channel.slots = {start + geometry.slots_offset(), geometry.slots_per_channel * geometry.slot_stride()};
  channel.slot_stride = geometry.slot_stride();
  channel.slot_bytes = geometry.slot_bytes;
  channel.trace_lease.producer = shm::TraceLeaseProducer(&channel.header->trace_numbers);
  channel.owners.assign(geometry.slots_per_channel, SlotOwner::client);
  channel.request_of_slot.assign(geometry.slots_per_channel, mux::kNone);
  channel.length_of_slot.assign(geometry.slots_per_channel, 0);
  channel.orphan_of_slot.assign(geometry.slots_per_channel, 0);
  channel.told.resize(geometry.slots_per_channel);
  return channel;
}

}  // namespace

bool Channel::is_marked_seen(std::uint32_t request_slot, std::uint64_t generation) const {
  const std::atomic_ref seen(controls[request_slot].seen_generation);
  return seen.load(std::memory_order_acquire) == generation;
}

// An honest client uses a pair of slots again only when the application has been told of the last request in it. So
// what was said last of each pair is all that can be unseen, and its bytes are still there.
std::vector<Told> Channel::unseen() const {
  // The memory is the client's: its position is looked at once, and may be a lie.
  const auto seen = header->completions.seen.load(std::memory_order_acquire);
  std::vector<Told> unseen;
  if (seen > told_count) return unseen;
  for (const auto& each : told) {
    if (!each.is_request || each.position < seen || owners[each.request_slot] == SlotOwner::engine) continue;
    if (!is_marked_seen(each.request_slot, each.generation)) unseen.push_back(each);
  }
  std::ranges::sort(unseen, {}, &Told::position);
  return unseen;
}

Client& ClientTable::admit(AdmitClient&& admitted) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(clients_.size());
    clients_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  TMX_ASSERT(admitted.geometry.valid() && admitted.memory->bytes().size() == admitted.geometry.total_bytes());
  auto client = std::make_unique<Client>();
  client->id = admitted.id;
  client->index = index;
  client->group = admitted.group;
  client->pid = admitted.pid;
  client->uid = admitted.uid;
  client->program = std::move(admitted.program);
  client->geometry = admitted.geometry;
  client->memory = std::move(admitted.memory);
  client->doorbell = std::move(admitted.doorbell);
  client->words = &reinterpret_cast<shm::ClientHeader*>(client->memory->bytes().data())->shards[shard_];
  for (std::uint32_t number = 0; number < client->geometry.channels; ++number) {
    client->channels.push_back(lay_out(client->memory->bytes(), client->geometry, number));
  }
  by_id_[client->id] = index;
  clients_[index] = std::move(client);
  return *clients_[index];
}

void ClientTable::renew_channel(Client& client, std::uint32_t number) {
  auto& channel = client.channels[number];
  TMX_ASSERT(channel.in_flight == 0 && !channel.has_completions);
  channel = lay_out(client.memory->bytes(), client.geometry, number);
}

void ClientTable::remove(Client& client) {
  const auto index = client.index;
  by_id_.erase(client.id);
  clients_[index].reset();
  free_.push_back(index);
}

Client* ClientTable::find(ClientId id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : clients_[found->second].get();
}

}  // namespace tlsmux::engine
