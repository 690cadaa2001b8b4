#pragma once

// What the control thread and a shard (a data loop) tell each other, over two mailboxes. The control thread does all
// that takes system calls about clients: sockets, identities, memory. The shard owns everything that data touches.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "engine/shard/trace_blocks.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/geometry.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"

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
  std::shared_ptr<shm::Mapping> memory;  // of all shards that serve the client, and the control thread
  shm::UniqueFd doorbell;                // this shard's own: it polls it and never reads it
};

// Answered by ChannelOpened; but not if the client has been told already, with what this shard said to the like of it
// under the same configuration. Then its first requests may be on the ring, which nobody is to reset any more.
struct OpenChannel {
  ClientId client = 0;
  std::uint32_t channel = 0;  // its number: the control thread gives them out, and this one is not open at any shard
  std::string upstream;
  std::uint32_t flags = 0;  // shm::ChannelFlags
  shm::UniqueFd wake{};     // the engine writes it, the client reads it
  bool is_told = false;
};

// Answered by ChannelClosed: from then on another shard may have the number.
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

// Other settings. Every shard gets all of them. Answered by ConfigApplied, once they hold, if it `is_answered`.
struct ApplyConfig {
  enum class Kind : std::uint8_t { changed, restarted, added, removed };
  struct Upstream {
    Kind kind = Kind::changed;
    std::uint32_t index = 0;
    std::unique_ptr<tls::TlsClient> tls_client;  // null: as before; of one that is added: another shard's upstream
    bool replace_sessions = false;
    // For tcp.source_ports: all that the upstream has from now on. Nothing: as before.
    std::optional<std::vector<std::uint16_t>> source_ports{};
  };

  // Groups and upstreams where they are in the engine. What is removed keeps its place, without a name.
  std::shared_ptr<const config::Config> config;
  std::vector<Upstream> upstreams;  // all that change; those that are added by index

  // The tables of a group that is added, formatted, at the next index.
  struct Group {
    shm::GroupPart part;
    std::shared_ptr<const shm::Mapping> memory;  // of all shards
  };
  std::vector<Group> groups_added{};
  // By index. What their clients have open goes on until they are dismissed.
  std::vector<std::uint32_t> groups_removed{};
  bool is_answered = true;
};

// The answer to NeedTraceNumbers. No blocks: none could be reserved.
struct GrantTraceNumbers {
  std::uint32_t upstream = 0;  // index in the config
  TraceReservation reservation;
};

// Answered by StreamOpened. Who is refused loses the socket as well.
struct OpenStream {
  ClientId asker = 0;
  std::uint64_t number = 0;  // of the stream, unique over the engine's life
  std::string upstream;
  std::vector<std::uint32_t>
      groups;  // as a member of which the process may have it: the upstream's first of these counts
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t wait_ms = 0;  // for a session; 0: the upstream's streams.wait_ms
  std::string alpn{};         // that the program offers, as in RFC 7301; empty: it does not mind
  shm::UniqueFd socket{};     // the engine's end, blocking
  bool tells_hang_up =
      true;  // it is a UNIX socket; else who writes no more is taken to be gone, unless an answer is due
};

using ShardCommand = std::variant<AdmitClient, OpenChannel, CloseChannel, DismissClient, Drain, DrainUpstream,
                                  ResumeUpstream, ApplyConfig, GrantTraceNumbers, OpenStream>;

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

// The shard does not touch its memory any more, and the descriptors are closed.
struct ClientReleased {
  ClientId client = 0;
  std::uint32_t in_flight = 0;  // of its requests, when it ended
  std::uint32_t unseen = 0;     // that had ended by then without its application having been told
};

struct Drained {
  std::uint32_t requests_left = 0;  // that had to be ended
};

struct UpstreamDrained {
  ClientId asker = 0;
  int error = 0;  // ENOENT: no such upstream; ECANCELED: somebody resumed it
  std::string error_text{};
  std::uint32_t requests_left = 0;  // that had to be ended
};

struct ConfigApplied {};

// The broker is to reserve trace numbers. Answered by GrantTraceNumbers, one way or the other.
struct NeedTraceNumbers {
  std::uint32_t upstream = 0;  // index in the config
  TraceNeed need;
};

// The stream waits for its session, or has one. What comes of that, its socket says.
struct StreamOpened {
  ClientId asker = 0;
  int error = 0;  // an errno; 0: the rest holds
  std::string error_text{};
  std::uint64_t number = 0;
  bool is_logged = false;  // the refusal
};

using ShardReply = std::variant<ChannelOpened, ChannelClosed, ClientOffended, ClientReleased, Drained, UpstreamDrained,
                                ConfigApplied, NeedTraceNumbers, StreamOpened>;

}  // namespace tlsmux::engine
