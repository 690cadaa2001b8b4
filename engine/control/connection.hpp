#pragma once

// One connection to the control socket, from its arrival until nothing of it is left.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/control/client_memory.hpp"
#include "engine/control/known_openings.hpp"
#include "engine/control/peer.hpp"
#include "engine/shard/shard_command.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

enum class Stage : std::uint8_t {
  arrived,  // has not asked to attach; may look on
  mapping,  // has been given its memory
  serving,  // the first shard serves it, and each other to which it has opened a channel
  leaving,  // its socket is closed; the shards have been told
};

// A client has one request in the works at a time.
enum class PendingRequest : std::uint8_t {
  none,
  open_channel,
  close_channel,
  drain_upstream,
  refresh,
  open_stream,
  match_peer
};

// A shard that has been given a client and has not released it.
struct ServingShard {
  std::uint32_t shard = 0;
  shm::UniqueFd doorbell;  // until the client has it
};

// The channel that is being opened or closed.
struct ChannelInTheWorks {
  std::uint32_t number = 0;
  std::uint32_t shard = 0;
  shm::UniqueFd wake;  // of one that is being opened
  KnownOpenings::Wish wish;
};

struct Connection {
  ClientId id = 0;
  Stage stage = Stage::arrived;
  shm::UniqueFd socket;
  std::unique_ptr<Peer> peer;  // none until it was needed
  std::uint32_t group = 0;     // from here on: once it is mapping
  ClientMemory memory;
  shm::UniqueFd doorbell;  // of the first shard, until that has it
  std::vector<ServingShard> shards;
  bool is_due_at_shard = false;                                // the first one has yet to be given the client
  bool is_unlogged = false;                                    // that it attached
  bool is_end_logged = false;                                  // that it has left, has died or was detached
  std::uint32_t in_flight = 0;                                 // at the shards that have released it, when it ended
  std::uint32_t unseen = 0;                                    // likewise
  std::vector<std::optional<std::uint32_t>> shard_of_channel;  // by number; nothing: it is not open
  PendingRequest pending = PendingRequest::none;
  ChannelInTheWorks channel;
  shm::UniqueFd stream;  // the process's end of the stream that is being opened
};

}  // namespace tlsmux::engine::control
