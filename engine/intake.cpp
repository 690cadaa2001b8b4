#include "engine/intake.hpp"

#include <algorithm>
#include <bit>

namespace tlsmux::engine {
namespace {

constexpr std::uint64_t kRequestsPerTurnMax = 256;  // of one channel: nobody starves

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
  }
  return any;
}

std::expected<bool, std::string_view> Intake::take_channel(Client& client, std::uint32_t number) {
  auto& channel = client.channels[number];
  std::uint64_t count = 0;
  // Until the ring itself says that it is empty: the ready bit that announced what is behind the known tail is gone.
  for (; count < kRequestsPerTurnMax; ++count) {
    const auto available = channel.requests.available();
    if (!available) return std::unexpected("a request ring's tail ran ahead of the ring");
    if (*available == 0) break;
    const auto descriptor = channel.requests.take();
    const auto rule = broken_rule(channel, descriptor);
    if (!rule.empty()) return std::unexpected(rule);
    submit(client, number, descriptor);
  }
  channel.requests.release();
  if (count == kRequestsPerTurnMax) client.backlog |= std::uint64_t{1} << number;
  return count > 0;
}

std::string_view Intake::broken_rule(const Channel& channel, const shm::RequestDescriptor& descriptor) const {
  const auto slots = channel.owners.size();
  const auto message_bytes_max = config_->upstreams[channel.upstream].framing.message_bytes_max;
  if (descriptor.operation != shm::Operation::request) return "a descriptor asks for an unknown operation";
  if (descriptor.request_slot >= slots || descriptor.response_slot >= slots) {
    return "a descriptor names a slot that does not exist";
  }
  if (descriptor.request_slot == descriptor.response_slot) return "a descriptor names one slot for both directions";
  if (channel.owners[descriptor.request_slot] != SlotOwner::client ||
      channel.owners[descriptor.response_slot] != SlotOwner::client) {
    return "a descriptor names a slot that is in use";
  }
  if (descriptor.length == 0) return "a descriptor's message is empty";
  if (descriptor.length > channel.slot_bytes || descriptor.length > message_bytes_max) {
    return "a descriptor's message is longer than its slot or the upstream's limit";
  }
  if (descriptor.generation > shm::kGenerationMax) return "a descriptor's generation is impossible";
  return {};
}

void Intake::submit(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor) {
  auto& channel = client.channels[number];
  channel.owners[descriptor.request_slot] = SlotOwner::engine;
  channel.owners[descriptor.response_slot] = SlotOwner::engine;
  ++channel.in_flight;
  ++client.requests;
  client.changed = true;
  const auto index = multiplexer_->submit({.upstream = channel.upstream,
                                           .group = client.group,
                                           .caller = {.channel = channel_ref(client.index, number),
                                                      .request_slot = descriptor.request_slot,
                                                      .response_slot = descriptor.response_slot,
                                                      .generation = descriptor.generation,
                                                      .tag = descriptor.tag},
                                           .length = descriptor.length,
                                           .timeout_ms = descriptor.timeout_ms});
  // kNone: it has ended already, and its slots are the client's again.
  channel.request_of_slot[descriptor.request_slot] = index;
}

}  // namespace tlsmux::engine
