#include "engine/shard/intake.hpp"

#include <algorithm>
#include <bit>

#include "engine/streams/process_numbers.hpp"

namespace tlsmux::engine {
namespace {

std::uint64_t open_channels(const Client& client) {
  std::uint64_t open = 0;
  for (std::size_t i = 0; i < client.channels.size(); ++i) open |= std::uint64_t{client.channels[i].is_open} << i;
  return open;
}

}  // namespace

bool Intake::has_more(const Client& client) {
  return client.backlog != 0 || client.words->ready.load(std::memory_order_relaxed) != 0;
}

std::expected<bool, std::string_view> Intake::take(Client& client) {
  // Acquire: the requests that a set bit announces were published before it.
  auto announced = client.backlog;
  if (client.words->ready.load(std::memory_order_relaxed) != 0) {
    announced |= client.words->ready.exchange(0, std::memory_order_acquire);
  }
  client.backlog = 0;
  bool any = false;
  for (auto bits = announced & open_channels(client); bits != 0; bits &= bits - 1) {
    const auto taken = take_channel(client, static_cast<std::uint32_t>(std::countr_zero(bits)));
    if (!taken) return taken;
    any = any || *taken;
    const auto number = static_cast<std::uint32_t>(std::countr_zero(bits));
    auto& channel = client.channels[number];
    const auto rule = trace_numbers_->look(channel.upstream, channel_ref(client.index, number), channel.trace_lease);
    if (!rule.empty()) return std::unexpected(rule);
  }
  return any;
}

std::expected<bool, std::string_view> Intake::take_channel(Client& client, std::uint32_t number) {
  auto& channel = client.channels[number];
  std::uint64_t count = 0;
  // Until the ring itself says that it is empty: the ready bit that announced what is behind the known tail is gone.
  for (; count < kRequestsPerTakeMax; ++count) {
    const auto available = channel.requests.available();
    if (!available) return std::unexpected("a request ring's tail ran ahead of the ring");
    if (*available == 0) break;
    const auto descriptor = channel.requests.take();
    const auto rule = broken_rule(channel, descriptor);
    if (!rule.empty()) return std::unexpected(rule);
    accept(client, number, descriptor);
  }
  channel.requests.release();
  if (count == kRequestsPerTakeMax) client.backlog |= std::uint64_t{1} << number;
  return count > 0;
}

std::string_view Intake::broken_rule(const Channel& channel, const shm::RequestDescriptor& descriptor) const {
  const auto slots = channel.owners.size();
  if (descriptor.request_slot >= slots || descriptor.response_slot >= slots) {
    return "a descriptor names a slot that does not exist";
  }
  if (descriptor.request_slot == descriptor.response_slot) return "a descriptor names one slot for both directions";
  if (channel.owners[descriptor.request_slot] != SlotOwner::client ||
      channel.owners[descriptor.response_slot] != SlotOwner::client) {
    return "a descriptor names a slot that is in use";
  }
  if (descriptor.generation > shm::kGenerationMax) return "a descriptor's generation is impossible";
  switch (descriptor.operation) {
    case shm::Operation::request:
    case shm::Operation::reply: return broken_rule_of_message(channel, descriptor);
    case shm::Operation::receive:
      return channel.flags != 0 ? std::string_view() : "a descriptor lends slots on a channel that takes no notices";
  }
  return "a descriptor asks for an unknown operation";
}

std::string_view Intake::broken_rule_of_message(const Channel& channel,
                                                const shm::RequestDescriptor& descriptor) const {
  const auto message_bytes_max = config_->upstreams[channel.upstream].framing.message_bytes_max;
  if (descriptor.length == 0) return "a descriptor's message is empty";
  if (descriptor.length > channel.slot_bytes || descriptor.length > message_bytes_max) {
    return "a descriptor's message is longer than its slot or the upstream's limit";
  }
  return {};
}

void Intake::accept(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor) {
  auto& channel = client.channels[number];
  for (const auto slot : {descriptor.request_slot, descriptor.response_slot}) {
    notices_->slot_used(channel, slot);
    channel.owners[slot] = SlotOwner::engine;
  }
  client.changed = true;
  if (descriptor.operation != shm::Operation::receive) return submit(client, number, descriptor);
  channel.length_of_slot[descriptor.request_slot] = 0;
  notices_->lend(client, number,
                 {.request_slot = descriptor.request_slot,
                  .response_slot = descriptor.response_slot,
                  .generation = descriptor.generation,
                  .tag = descriptor.tag});
}

void Intake::submit(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor) {
  auto& channel = client.channels[number];
  const bool is_reply = descriptor.operation == shm::Operation::reply;
  channel.length_of_slot[descriptor.request_slot] = is_reply ? 0 : descriptor.length;
  ++channel.in_flight;
  ++client.requests;
  client.changed = true;
  const mux::Caller caller{.channel = channel_ref(client.index, number),
                           .request_slot = descriptor.request_slot,
                           .response_slot = descriptor.response_slot,
                           .generation = descriptor.generation,
                           .tag = descriptor.tag,
                           .serial = channel.serial};
  // kNone: it has ended already, and its slots are the client's again.
  channel.request_of_slot[descriptor.request_slot] =
      is_reply ? submit_reply(client, channel, caller, descriptor)
               : multiplexer_->submit({.upstream = channel.upstream,
                                       .group = client.group,
                                       .client = streams::turn_of_client(client.index),
                                       .caller = caller,
                                       .length = descriptor.length,
                                       .timeout_ms = descriptor.timeout_ms});
}

// Naming a message that went to another, or is forgotten, breaks no rule: notices outlive channels and sessions.
mux::RequestIndex Intake::submit_reply(const Client& client, const Channel& channel, const mux::Caller& caller,
                                       const shm::RequestDescriptor& descriptor) {
  const bool is_theirs = notices_->was_given(channel.upstream, descriptor.notice, client.id);
  return multiplexer_->reply({.upstream = channel.upstream,
                              .group = client.group,
                              .caller = caller,
                              .length = descriptor.length,
                              .timeout_ms = descriptor.timeout_ms,
                              .notice = is_theirs ? descriptor.notice : 0});
}

}  // namespace tlsmux::engine
