#pragma once

// What the control thread and a shard (a data loop) tell each other, over two mailboxes. The control thread does all
// that takes system calls about clients: sockets, identities, memory. The shard owns everything that data touches.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shm/geometry.hpp"
#include "shm/segment.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine {

using ClientId = std::uint64_t;  // never reused within an engine's life

// ---- Control thread to shard ----

// The client has mapped and its memory is sealed. Answered by nothing: the shard serves it from its next tick on.
struct AdmitClient {
  ClientId id = 0;
  std::uint32_t group = 0;  // index in the config
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::string program;
  shm::ClientGeometry geometry;
  shm::Mapping memory;
  shm::UniqueFd doorbell;  // the engine polls it and never reads it
};

// Answered by ChannelOpened.
struct OpenChannel {
  ClientId client = 0;
  std::string upstream;
  shm::UniqueFd wake;  // the engine writes it, the client reads it
};

// Answered by ChannelClosed.
struct CloseChannel {
  ClientId client = 0;
  std::uint32_t channel = 0;
};

// The process is dead (its pidfd says so) or has said goodbye. Answered by ClientReleased once nothing of it is left.
struct DismissClient {
  ClientId client = 0;
  bool died = false;
};

// No new requests; open ones go on. Answered by Drained when none is left or the time is over.
struct Drain {
  std::uint32_t timeout_ms = 0;
};

using ShardCommand = std::variant<AdmitClient, OpenChannel, CloseChannel, DismissClient, Drain>;

// ---- Shard to control thread ----

struct ChannelOpened {
  ClientId client = 0;
  int error = 0;  // an errno; 0: the rest holds
  std::string error_text{};
  std::uint32_t channel = 0;
  std::uint32_t upstream_row = 0;
  std::uint32_t shard = 0;
  std::uint32_t message_bytes_max = 0;
  std::uint32_t timeout_ms = 0;
};

struct ChannelClosed {
  ClientId client = 0;
  int error = 0;  // EBUSY: requests are in flight; EINVAL: no such channel
  std::string error_text{};
};

// The client broke a rule: the control thread logs it, tells the client, closes its socket; the shard no longer looks.
struct ClientOffended {
  ClientId client = 0;
  std::string rule;
};

// The memory is unmapped and the descriptors are closed.
struct ClientReleased {
  ClientId client = 0;
};

struct Drained {
  std::uint32_t requests_left = 0;
};

using ShardReply = std::variant<ChannelOpened, ChannelClosed, ClientOffended, ClientReleased, Drained>;

}  // namespace tlsmux::engine
