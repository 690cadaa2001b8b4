// How a shard parts with clients: those that leave, those that die, those that break a rule.

#include <algorithm>

#include "engine/shard/shard.hpp"

namespace tlsmux::engine {
namespace {

// The kernel closes a dying process's socket a little before it says that the process is dead.
constexpr std::uint64_t kPartingTimeNs = 1'000'000'000;

}  // namespace

void Shard::count_open(Client& client) {
  for (const auto& channel : client.channels) {
    if (!channel.is_open) continue;
    client.in_flight_at_end += channel.in_flight;
    client.unseen_at_end += static_cast<std::uint32_t>(channel.unseen().size());
  }
}

void Shard::stop_serving(Client& client) {
  if (client.stage != ClientStage::served) return;
  for (std::uint32_t number = 0; number < client.channels.size(); ++number) {
    auto& channel = client.channels[number];
    if (!channel.is_open) continue;
    notices_.closed(client, number);
    trace_numbers_.leave(channel.upstream, channel.trace_lease);
  }
  if (client.is_hot) std::erase(hot_, &client);
  client.is_hot = false;
  bells_->unwatch(client.index);
  client.stage = ClientStage::parting;
}

// It has closed its socket. If it lives, it ends what it has open by itself; if it is dead, news of that comes soon.
void Shard::part_with(Client& client) {
  if (client.stage != ClientStage::served) return;
  stop_serving(client);
  if (client.in_flight_at_end == 0 && client.unseen_at_end == 0) return leave(client);
  parting_.push_back({.client = client.id, .ends_ns = now_ns_ + kPartingTimeNs});
}

void Shard::end_partings() {
  while (!parting_.empty()) {
    auto* const client = clients_.find(parting_.front().client);
    const bool parts = client != nullptr && client->stage == ClientStage::parting;
    if (parts && parting_.front().ends_ns > now_ns_) return;
    parting_.pop_front();
    if (parts) leave(*client);
  }
}

// It is dead. Whoever has subscribed for that gets what it will never see.
void Shard::inherit_from(Client& client) {
  stop_serving(client);
  for (std::uint32_t number = 0; number < client.channels.size(); ++number) {
    if (client.channels[number].is_open) notices_.keep_orphans(client, number, multiplexer_);
  }
  leave(client);
}

// Its memory is not looked at any more, and its open requests go on without it.
void Shard::leave(Client& client) {
  stop_serving(client);
  client.stage = ClientStage::leaving;
  for (auto& channel : client.channels) {
    for (auto& index : channel.request_of_slot) {
      if (index != mux::kNone) multiplexer_.abandon(std::exchange(index, mux::kNone));
    }
  }
  leaving_.push_back(client.index);
}

void Shard::unwatched(std::uint32_t client_index) {
  auto* client = clients_.at(client_index);
  if (client == nullptr) return;
  client->watched = false;
  leaving_.push_back(client_index);
}

void Shard::release_if_done(Client& client) {
  const bool waking = std::ranges::any_of(client.channels, &Channel::waking);
  if (client.stage != ClientStage::leaving || !client.dismissed || client.watched || waking) return;
  replies_.emplace_back(
      ClientReleased{.client = client.id, .in_flight = client.in_flight_at_end, .unseen = client.unseen_at_end});
  board_.remove_client(client);
  clients_.remove(client);
}

void Shard::handle_offences() {
  for (const auto& offence : outlet_.take_offences()) {
    auto* client = clients_.at(offence.client_index);
    if (client == nullptr || client->stage != ClientStage::served) continue;
    replies_.emplace_back(ClientOffended{.client = client->id, .rule = std::string(offence.rule)});
    count_open(*client);
    leave(*client);
  }
}

}  // namespace tlsmux::engine
