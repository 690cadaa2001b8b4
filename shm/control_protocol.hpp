#pragma once

// The messages on an engine's control socket (UNIX, SOCK_SEQPACKET): one packet is one message, a fixed struct behind a
// header. Attaching, opening channels, looking on. Requests of applications never pass here.
//
//   client                              engine
//   attach            ->
//                     <-   attached     + 4 descriptors: group object, client memory, doorbell of the first shard,
//                                         engine's pidfd
//   (maps both parts)
//   mapped            ->                (seals the client's memory against new mappings, verifies, serves)
//   open_channel      ->                (may follow at once: what cannot be served is detached)
//                     <-   channel_opened + 1 descriptor: the channel's wake eventfd; and with a client's first channel
//                                         at another shard than the first, a second: the doorbell of that shard
//   close_channel     ->
//                     <-   channel_closed
//   observe           ->                (root, the engine's user and members: read-only look at a group)
//                     <-   observed     + 1 descriptor: group object
//   list_groups       ->
//                     <-   groups       (those that the asker may observe)
//   drain_upstream    ->                (root and the engine's user)
//                     <-   upstream_drained, once no request is open on it
//   claim_port        ->                (clients)
//                     <-   port_claimed
//   release_port      ->                (clients; nothing is answered)
//   refill_ports      ->                (clients: look at the words of my leases; nothing is answered)
//   open_stream       ->                (whoever is a member of one of the upstream's groups; no client need be attached)
//                     <-   stream_opened + 1 descriptor: the process's end of the stream
//   match_peer        ->                (libtlsmux_ssl: is a connection to there to be shared?)
//                     <-   peer_matched
//   announce_stream   ->                (a socket of mine has connected to the engine's listener)
//                     <-   stream_announced
//   goodbye           ->                (clients that detach; nothing is answered. Who closes without it may be dead)
//   refresh           ->                (root and the engine's user)
//                     <-   refreshed    + 1 descriptor: a memfd with the plan, as text or JSON
//
// Any request may be answered by `refused`. At any time the engine may send `detached` with a reason. Integers are in
// the machine's own order: both ends are on one machine. Either side closes the socket on a message it cannot read.

#include <array>
#include <cstdint>
#include <string_view>

#include "config/limits.hpp"
#include "shm/layout.hpp"

namespace tlsmux::shm {

inline constexpr std::uint32_t kControlMagic = 0x31584d54;  // "TMX1"
inline constexpr std::uint16_t kControlVersion = 2;
inline constexpr std::size_t kControlMessageBytesMax = 8192;
inline constexpr std::size_t kControlDescriptorsMax = 4;

enum class ControlType : std::uint16_t {
  attach = 1,
  attached = 2,
  mapped = 3,
  open_channel = 5,
  channel_opened = 6,
  close_channel = 7,
  channel_closed = 8,
  observe = 9,
  observed = 10,
  list_groups = 11,
  groups = 12,
  refused = 13,
  detached = 14,
  drain_upstream = 15,
  upstream_drained = 16,
  refresh = 17,
  refreshed = 18,
  claim_port = 19,
  port_claimed = 20,
  release_port = 21,
  refill_ports = 22,
  open_stream = 23,
  stream_opened = 24,
  match_peer = 25,
  peer_matched = 26,
  announce_stream = 27,
  stream_announced = 28,
  goodbye = 29,
};

struct ControlHeader {
  std::uint32_t magic = kControlMagic;
  std::uint16_t version = kControlVersion;
  ControlType type{};
  std::uint32_t bytes = 0;  // of the whole message, header included
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ControlHeader) == 16);

struct AttachRequest {
  static constexpr ControlType kType = ControlType::attach;
  ControlHeader header;
  Name group{};
  std::uint32_t layout_version = kLayoutVersion;
  std::uint32_t channels = 0;      // 0: as many as the group's config allows
  std::array<char, 16> program{};  // the process's name, for people; empty: the engine looks it up
  std::array<std::uint64_t, 2> reserved{};
};

struct AttachReply {
  static constexpr ControlType kType = ControlType::attached;
  ControlHeader header;
  std::uint64_t client_id = 0;
  BootId boot_id{};
  std::uint64_t group_bytes = 0;
  std::uint64_t client_bytes = 0;
  std::uint32_t channels = 0;
  std::uint32_t slots_per_channel = 0;
  std::uint32_t slot_bytes = 0;
  std::uint32_t engine_pid = 0;
  std::uint32_t wipe_slots = 0;  // 1: the client overwrites a slot that it has no use for any more
  std::uint32_t reserved0 = 0;
  std::array<std::uint64_t, 3> reserved{};
};
static_assert(sizeof(AttachReply) == 104);

struct MappedNotice {
  static constexpr ControlType kType = ControlType::mapped;
  ControlHeader header;
};

// The client detaches: it closes its socket because it wants to.
struct GoodbyeNotice {
  static constexpr ControlType kType = ControlType::goodbye;
  ControlHeader header;
};

// The numbers of tlsmux.h.
enum ChannelFlags : std::uint32_t {
  kLateAnswers = 1,
  kSubscribeLate = 2,
  kSubscribeUnsolicited = 4,
  kSubscribeOrphans = 8,
};

struct OpenChannelRequest {
  static constexpr ControlType kType = ControlType::open_channel;
  ControlHeader header;
  Name upstream{};
  std::uint32_t flags = 0;  // ChannelFlags
  std::uint32_t reserved0 = 0;
  std::uint64_t reserved = 0;
};

struct OpenChannelReply {
  static constexpr ControlType kType = ControlType::channel_opened;
  ControlHeader header;
  std::uint32_t channel = 0;
  std::uint32_t upstream = 0;  // row in the group's upstreams table
  std::uint32_t shard = 0;
  std::uint32_t message_bytes_max = 0;
  std::uint32_t timeout_ms = 0;  // of a request that brings none
  std::uint32_t reserved0 = 0;
  std::array<std::uint64_t, 2> reserved{};
};

// Only when nothing of the channel is in flight any more.
struct CloseChannelRequest {
  static constexpr ControlType kType = ControlType::close_channel;
  ControlHeader header;
  std::uint32_t channel = 0;
  std::uint32_t reserved = 0;
};

struct CloseChannelReply {
  static constexpr ControlType kType = ControlType::channel_closed;
  ControlHeader header;
};

struct ObserveRequest {
  static constexpr ControlType kType = ControlType::observe;
  ControlHeader header;
  Name group{};
};

struct ObserveReply {
  static constexpr ControlType kType = ControlType::observed;
  ControlHeader header;
  std::uint64_t group_bytes = 0;
};

struct ListGroupsRequest {
  static constexpr ControlType kType = ControlType::list_groups;
  ControlHeader header;
};

struct ListGroupsReply {
  static constexpr ControlType kType = ControlType::groups;
  ControlHeader header;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
  std::array<Name, config::kGroupsMax> names{};
};

struct DrainUpstreamRequest {
  static constexpr ControlType kType = ControlType::drain_upstream;
  ControlHeader header;
  Name upstream{};
  std::uint32_t resume = 0;      // 1: take requests again
  std::uint32_t timeout_ms = 0;  // then the rest is ended; 0: the upstream's drain_ms
};

struct DrainUpstreamReply {
  static constexpr ControlType kType = ControlType::upstream_drained;
  ControlHeader header;
  std::uint32_t requests_left = 0;
  std::uint32_t reserved = 0;
};

struct RefreshRequest {
  static constexpr ControlType kType = ControlType::refresh;
  ControlHeader header;
  std::uint32_t dry_run = 0;
  std::uint32_t json = 0;
};

enum class RefreshResult : std::uint32_t {
  planned = 0,  // a dry run: this could be applied
  applied = 1,
  refused = 2,  // the text says why; nothing has changed
};

struct RefreshReply {
  static constexpr ControlType kType = ControlType::refreshed;
  ControlHeader header;
  RefreshResult result{};
  std::uint32_t changes = 0;
  std::uint64_t text_bytes = 0;
};

enum class PortClaimKind : std::uint32_t {
  dynamic = 1,   // any of the group's; with a label the one that bore it before
  labelled = 2,  // the static port with this label; without a label the first free one that the program may have
  number = 3,    // `port`, whatever it is
};

// A port is the owner's from the answer on, and stays so while the kernel knows a socket on it.
struct ClaimPortRequest {
  static constexpr ControlType kType = ControlType::claim_port;
  ControlHeader header;
  PortClaimKind kind{};
  std::uint32_t protocol = 0;  // kPortTcp or kPortUdp
  std::uint32_t port = 0;
  std::uint32_t owner_pid =
      0;                     // a process of the same user in whose name it is claimed, such as a shell; 0: the client
  std::uint32_t leases = 0;  // 1: the client wants ports on lease
  std::uint32_t reserved0 = 0;
  PortLabel label{};
  std::array<std::uint64_t, 2> reserved{};
};

// A refusal's error: EACCES another group's or program's; EADDRINUSE taken, or none is free, or the process has its
// fill; ENOENT no such label, or of a number: no group's port, so that anybody may bind it.
struct ClaimPortReply {
  static constexpr ControlType kType = ControlType::port_claimed;
  ControlHeader header;
  std::uint32_t port = 0;
  std::uint32_t share_port = 0;  // 1: a holder has it too; bind with SO_REUSEPORT
};

// Of ReleasePortRequest: bind said EADDRINUSE. `by_anyone`: of a port that the owner had before, so that its own socket may
// hold it; it is not given back, but looked into.
inline constexpr std::uint32_t kInUseByAnother = 1;
inline constexpr std::uint32_t kInUseByAnyone = 2;

// The owner has closed its socket or is about to, or could not bind.
struct ReleasePortRequest {
  static constexpr ControlType kType = ControlType::release_port;
  ControlHeader header;
  std::uint32_t protocol = 0;
  std::uint32_t port = 0;
  std::uint32_t in_use = 0;     // kInUseBy..., or 0
  std::uint32_t owner_pid = 0;  // as when it was claimed
};

struct RefillPortsRequest {
  static constexpr ControlType kType = ControlType::refill_ports;
  ControlHeader header;
};

struct OpenStreamRequest {
  static constexpr ControlType kType = ControlType::open_stream;
  ControlHeader header;
  Name upstream{};
  Name group{};               // empty: the first of the upstream's that the process is a member of
  std::uint32_t wait_ms = 0;  // for a session; 0: the upstream's streams.wait_ms
  std::uint32_t reserved0 = 0;
  std::array<std::uint64_t, 2> reserved{};
};

struct OpenStreamReply {
  static constexpr ControlType kType = ControlType::stream_opened;
  ControlHeader header;
  std::uint64_t number = 0;  // for the log
};

// An IPv4 address stands in its IPv4-mapped form (RFC 4291 section 2.5.5.2).
struct PeerAddress {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;  // in the machine's order
  std::uint16_t reserved = 0;
};

// By address, or, with a name, by name.
struct MatchPeerRequest {
  static constexpr ControlType kType = ControlType::match_peer;
  ControlHeader header;
  PeerAddress peer;
  std::uint32_t reserved = 0;
  std::array<char, 256> server_name{};
  Name group{};
};

struct MatchPeerReply {
  static constexpr ControlType kType = ControlType::peer_matched;
  ControlHeader header;
  std::uint32_t is_shared = 0;
  std::uint32_t any_identity = 0;
  std::uint16_t listener_port = 0;  // of the engine, on 127.0.0.1 and ::1
  std::uint16_t reserved0 = 0;
  std::uint32_t reserved1 = 0;
  std::uint64_t network_namespace = 0;  // SO_NETNS_COOKIE of the listener; 0: the kernel does not tell
  Name upstream{};
};

struct AnnounceStreamRequest {
  static constexpr ControlType kType = ControlType::announce_stream;
  ControlHeader header;
  PeerAddress local;     // of the socket
  PeerAddress original;  // where the program wanted to go
  std::uint64_t socket_inode = 0;
  Name upstream{};
  Name group{};
};

struct AnnounceStreamReply {
  static constexpr ControlType kType = ControlType::stream_announced;
  ControlHeader header;
  std::array<std::uint8_t, 16> ticket{};  // for StreamStart
};

// `error` is an errno: EACCES not a member, ENOENT no such group or upstream, EAGAIN full, EPROTO, ...
struct Refusal {
  static constexpr ControlType kType = ControlType::refused;
  ControlHeader header;
  std::int32_t error = 0;
  std::uint32_t reserved = 0;
  Text text{};
};

// The engine has taken its hand off the client: the text says which rule the client broke.
struct DetachedNotice {
  static constexpr ControlType kType = ControlType::detached;
  ControlHeader header;
  std::int32_t error = 0;
  std::uint32_t reserved = 0;
  Text text{};
};

static_assert(sizeof(ListGroupsReply) <= kControlMessageBytesMax);

// Copies as much of `from` as fits and terminates it.
template <std::size_t Size>
void set_text(std::array<char, Size>& to, std::string_view from) {
  to = {};
  from.copy(to.data(), Size - 1);
}

// What is before the first zero; safe on arrays without one.
template <std::size_t Size>
std::string_view text_of(const std::array<char, Size>& from) {
  const std::string_view all(from.data(), Size);
  return all.substr(0, all.find('\0'));
}

}  // namespace tlsmux::shm
