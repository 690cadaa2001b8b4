#pragma once

// What the control thread and a shard (a data loop) tell each other, over two mailboxes. The control thread does all
// that takes system calls about clients: sockets, identities, memory. The shard owns everything that data touches.

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "engine/tls/tls_session.hpp"
#include "engine/trace_blocks.hpp"
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
  std::uint32_t flags = 0;  // shm::ChannelFlags
  shm::UniqueFd wake{};     // the engine writes it, the client reads it
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

// No new requests to one upstream; open ones go on. Answered by UpstreamDrained when none is left and its sessions have
// ended, or the time is over and the rest has been ended.
struct DrainUpstream {
  ClientId asker = 0;
  std::string upstream;
  std::uint32_t timeout_ms = 0;  // 0: the upstream's drain_ms
};

// It takes requests again. Answered by UpstreamDrained, at once.
struct ResumeUpstream {
  ClientId asker = 0;
  std::string upstream;
};

// Other settings for the same groups. Answered by ConfigApplied, once they hold.
struct ApplyConfig {
  enum class Kind : std::uint8_t { changed, restarted, added, removed };
  struct Upstream {
    Kind kind = Kind::changed;
    std::uint32_t index = 0;
    std::unique_ptr<tls::TlsClient> tls_client;  // null: as before
    bool replace_sessions = false;
  };

  // Groups and upstreams where they are in the engine. What is removed keeps its place, without a name.
  std::shared_ptr<const config::Config> config;
  std::vector<Upstream> upstreams;  // all that change; those that are added by index
};

// The answer to NeedTraceNumbers. No blocks: none could be reserved.
struct GrantTraceNumbers {
  std::uint32_t upstream = 0;  // index in the config
  TraceChunk blocks;
};

using ShardCommand = std::variant<AdmitClient, OpenChannel, CloseChannel, DismissClient, Drain, DrainUpstream,
                                  ResumeUpstream, ApplyConfig, GrantTraceNumbers>;

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

struct UpstreamDrained {
  ClientId asker = 0;
  int error = 0;  // ENOENT: no such upstream; ECANCELED: somebody resumed it
  std::string error_text{};
  std::uint32_t requests_left = 0;  // that had to be ended
};

struct ConfigApplied {};

// The broker is to reserve so many blocks of trace numbers at the most. Answered by GrantTraceNumbers, one way or the
// other.
struct NeedTraceNumbers {
  std::uint32_t upstream = 0;  // index in the config
  std::uint32_t blocks = 0;
};

using ShardReply = std::variant<ChannelOpened, ChannelClosed, ClientOffended, ClientReleased, Drained, UpstreamDrained,
                                ConfigApplied, NeedTraceNumbers>;

}  // namespace tlsmux::engine
