#pragma once

// What the engine itself knows of its clients: who owns which slot, which request is where. All of it private memory;
// of what clients can write only rings, slots and words are looked at, and never believed.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/request_table.hpp"
#include "engine/shard_command.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"
#include "shm/ring.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine {

enum class SlotOwner : std::uint8_t { client, engine };

// One channel, open or not.
struct Channel {
  bool is_open = false;
  std::uint32_t upstream = 0;  // in the config
  shm::ChannelHeader* header = nullptr;
  shm::RingConsumer<shm::RequestDescriptor> requests;
  shm::RingProducer<shm::CompletionDescriptor> completions;
  std::span<shm::SlotControl> controls;
  std::span<std::byte> slots;
  std::size_t slot_stride = 0;
  std::size_t slot_bytes = 0;
  std::vector<SlotOwner> owners;                   // by slot
  std::vector<mux::RequestIndex> request_of_slot;  // by request slot; kNone: no request of it is in the multiplexer
  std::uint32_t in_flight = 0;
  bool has_completions = false;  // pushed and not published yet
  shm::UniqueFd wake;
  bool waking = false;      // a write to `wake` is under way
  bool wake_again = false;  // and another must follow

  [[nodiscard]] std::span<std::byte> slot(std::uint32_t slot) const {
    return slots.subspan(slot * slot_stride, slot_bytes);
  }
};

enum class ClientStage : std::uint8_t {
  served,
  leaving,  // dismissed or an offender: only what io_uring still holds is awaited
};

struct Client {
  ClientId id = 0;
  std::uint32_t index = 0;  // in the table
  std::uint32_t group = 0;
  std::uint32_t row = 0;  // in the group's table of clients
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::string program;
  std::int64_t since_s = 0;
  ClientStage stage = ClientStage::served;
  bool dismissed = false;  // the control thread waits for ClientReleased
  bool watched = false;
  shm::ClientGeometry geometry;
  shm::Mapping memory;
  shm::UniqueFd doorbell;
  shm::ShardWords* words = nullptr;  // those of this shard
  std::vector<Channel> channels;
  std::uint64_t backlog = 0;  // bit c: channel c has more than was taken in one go
  std::uint32_t idle_turns = 0;
  bool is_hot = false;  // looked at in each turn; else it rings
  bool changed = true;  // since its row was last written
  std::uint64_t requests = 0;
};

// A channel's number in the whole shard: what a mux::Caller carries.
constexpr std::uint32_t channel_ref(std::uint32_t client_index, std::uint32_t channel) {
  return client_index * config::kChannelsPerClientMax + channel;
}

class ClientTable {
 public:
  // Takes the client in. The channels are laid out, none is open.
  Client& admit(AdmitClient&& admitted);
  void remove(Client& client);
  // As new, with both rings at their start, for the next to open it. Requires that nothing of it is in flight.
  void reset_channel(Client& client, std::uint32_t number);

  // Null when there is none.
  Client* find(ClientId id);
  Client* at(std::uint32_t index) { return index < clients_.size() ? clients_[index].get() : nullptr; }
  // Requires the client to be there.
  Client& client_of(std::uint32_t ref) { return *clients_[ref / config::kChannelsPerClientMax]; }
  Channel& channel_of(std::uint32_t ref) { return client_of(ref).channels[ref % config::kChannelsPerClientMax]; }

  // Some may be null.
  [[nodiscard]] std::span<const std::unique_ptr<Client>> all() const { return clients_; }

 private:
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<ClientId, std::uint32_t> by_id_;
};

}  // namespace tlsmux::engine
