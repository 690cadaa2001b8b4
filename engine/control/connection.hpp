#pragma once

// One connection to the control socket, from its arrival until nothing of it is left.

#include <cstdint>
#include <memory>

#include "engine/control/client_memory.hpp"
#include "engine/control/peer.hpp"
#include "engine/shard_command.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine::control {

enum class Stage : std::uint8_t {
  arrived,  // has not asked to attach; may look on
  mapping,  // has been given its memory
  serving,  // a shard serves it
  leaving,  // its socket is closed; a shard has been told
};

// A client has one request in the works at a time.
enum class PendingRequest : std::uint8_t { none, open_channel, close_channel, drain_upstream, refresh };

struct Connection {
  ClientId id = 0;
  Stage stage = Stage::arrived;
  shm::UniqueFd socket;
  std::unique_ptr<Peer> peer;  // none until it was needed
  std::uint32_t group = 0;     // from here on: once it is mapping
  ClientMemory memory;         // until a shard has it
  shm::UniqueFd doorbell;      // the same
  PendingRequest pending = PendingRequest::none;
  shm::UniqueFd wake;  // of the channel that is being opened
};

}  // namespace tlsmux::engine::control
