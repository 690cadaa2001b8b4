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
#include "engine/shard/shard_command.hpp"
#include "engine/shard/trace_numbers.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"
#include "shm/ring.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine {

enum class SlotOwner : std::uint8_t { client, engine };

// What the engine has said last of a pair of slots, in its own memory.
struct Told {
  std::uint64_t position = 0;  // on the completion ring
  std::uint64_t tag = 0;
  std::uint64_t generation = 0;
  std::uint32_t request_slot = 0;
  std::uint32_t response_slot = 0;
  std::uint32_t length = 0;
  std::uint32_t request_length = 0;
  std::uint32_t error_offset = 0;
  std::uint16_t error_field = 0;
  shm::Reason reason = shm::Reason::none;
  shm::Outcome outcome = shm::Outcome::none;
  mux::RequestIndex index = mux::kNone;  // of the request, if the host may still answer it and nothing else is there
  bool is_request = false;               // a request has ended; else a reply, or a notice was given
};

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
  std::vector<std::uint32_t> length_of_slot;       // by request slot; of a request; 0: it bears something else
  std::vector<std::uint64_t> orphan_of_slot;       // by request slot: delivered there, and not dealt with; 0: none
  std::uint64_t serial = 0;                        // of this opening; never used again
  std::uint32_t flags = 0;                         // shm::ChannelFlags
  std::uint32_t lent = 0;                          // pairs of slots for notices
  std::uint32_t in_flight = 0;
  std::vector<Told> told;        // by request slot
  std::uint64_t told_count = 0;  // the completion ring's tail
  ChannelTraceLease trace_lease;
  bool has_completions = false;  // pushed and not published yet
  bool has_outcomes = false;     // among these; notices are none
  shm::UniqueFd wake;
  bool waking = false;      // a write to `wake` is under way
  bool wake_again = false;  // and another must follow
  bool is_closing = false;  // closed, and ChannelClosed goes out when the write is done

  [[nodiscard]] std::span<std::byte> slot(std::uint32_t slot) const {
    return slots.subspan(slot * slot_stride, slot_bytes);
  }

  // The application has been told how this request ended. The client's word.
  [[nodiscard]] bool is_marked_seen(std::uint32_t request_slot, std::uint64_t generation) const;
  // Requests that have ended, of which the application has not been told, oldest first. By the client's word, and none
  // if that is impossible.
  [[nodiscard]] std::vector<Told> unseen() const;
};

enum class ClientStage : std::uint8_t {
  served,
  parting,  // its socket is closed: what it has open goes on, until it is clear whether its process is dead
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
  std::uint32_t in_flight_at_end = 0;
  std::uint32_t unseen_at_end = 0;
  bool watched = false;
  shm::ClientGeometry geometry;
  std::shared_ptr<shm::Mapping> memory;
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
  // `shard` is the number of the one that it belongs to.
  explicit ClientTable(std::uint32_t shard = 0) : shard_(shard) {}

  // Takes the client in. The channels are laid out, none is open.
  Client& admit(AdmitClient&& admitted);
  void remove(Client& client);
  // As new, for the next to open it; see shm::reset_channel. Requires that nothing of it is in flight.
  void renew_channel(Client& client, std::uint32_t number);

  // Null when there is none.
  Client* find(ClientId id);
  Client* at(std::uint32_t index) { return index < clients_.size() ? clients_[index].get() : nullptr; }
  // Requires the client to be there.
  Client& client_of(std::uint32_t ref) { return *clients_[ref / config::kChannelsPerClientMax]; }
  Channel& channel_of(std::uint32_t ref) { return client_of(ref).channels[ref % config::kChannelsPerClientMax]; }

  // Some may be null.
  [[nodiscard]] std::span<const std::unique_ptr<Client>> all() const { return clients_; }

 private:
  std::uint32_t shard_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<ClientId, std::uint32_t> by_id_;
};

}  // namespace tlsmux::engine
