#pragma once

// The part of layout.hpp that is about ports, under the same rules.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/limits.hpp"
#include "shm/layout_words.hpp"

namespace tlsmux::shm {

// The four tables of ports are written by the engine's control thread.

// Who may use which ports: one row for each user, Unix group, static port and range of the group.
enum class PortRuleKind : std::uint32_t { none = 0, user = 1, unix_group = 2, static_port = 3, dynamic_range = 4 };

// Bits of `protocols`.
inline constexpr std::uint32_t kPortTcp = 1;
inline constexpr std::uint32_t kPortUdp = 2;

using PortLabel = std::array<char, config::kPortLabelBytesMax + 1>;  // zero-terminated
using ProgramName = std::array<char, 32>;                            // zero-terminated

struct alignas(kCacheLineBytes) PortConfigurationRow {
  RowSequence sequence;
  PortRuleKind kind;      // none: the row is empty
  std::uint32_t account;  // uid or gid
  std::uint16_t from;     // of a static port, `from` and `to` are the port
  std::uint16_t to;
  std::uint32_t protocols;
  std::uint32_t reserved0;
  Name service;  // the group's name
  PortLabel label;
  ProgramName program;
  std::array<std::uint64_t, 9> reserved1;
};
static_assert(offsetof(PortConfigurationRow, service) == 24 && sizeof(PortConfigurationRow) == 256);

enum class PortState : std::uint32_t {
  free = 0,        // no row, or one that only says which label had it last
  leased = 1,      // to a process in advance, which may take it without asking
  claimed = 2,     // by a process that has not bound it yet, as far as the kernel says
  bound = 3,       // the kernel knows a socket of the owner's
  orphan = 4,      // the owner is dead, its socket is not: a child has it, and is the owner when it is found
  quarantine = 5,  // free again at `until_s`
  external = 6,    // a socket of somebody who never claimed it
};

enum PortFlags : std::uint8_t {
  kPortStatic = 1,
  kPortGrandfathered = 2,  // not the group's any more, held since before
  kPortObserved = 4,       // entered because the kernel saw it, not by a claim
  kPortEngine = 8,         // a source port of the engine's own connections
  kPortReleased = 16,      // given back; the next sweep tells whether a socket is still there
};

// A port that is not free, or that a label remembers.
struct alignas(kCacheLineBytes) PortRow {
  RowSequence sequence;
  PortState state;        // free: only `port`, `protocol`, `service` and `label` count
  std::uint16_t port;     // 0: the row is empty
  std::uint8_t protocol;  // kPortTcp or kPortUdp
  std::uint8_t flags;     // PortFlags
  std::uint32_t pid;      // of the owner; 0: unknown
  std::uint32_t uid;
  std::uint32_t reserved0;
  std::uint64_t client_id;     // 0: not attached
  std::uint64_t pidfd_inode;   // tells the owner from a later process with its pid; 0: unknown
  std::uint64_t socket_inode;  // 0: none known
  std::int64_t since_s;        // in this state
  std::int64_t until_s;        // of a quarantine
  ProgramName program;         // as the process calls itself: escape it before a terminal sees it
  Name service;
  PortLabel label;
  std::uint64_t until_ns;  // of a quarantine, by CLOCK_MONOTONIC, for the next engine
  std::array<std::uint64_t, 3> reserved1;
};
static_assert(offsetof(PortRow, client_id) == 24 && offsetof(PortRow, program) == 64 && sizeof(PortRow) == 256);

enum class PortEnforcement : std::uint32_t {
  off = 0,  // not asked for
  on = 1,
  missing = 2,  // asked for, and not to be had: the text says why
};

// One for each group.
struct alignas(kCacheLineBytes) PortSummaryRow {
  RowSequence sequence;
  std::uint32_t in_use;
  std::array<std::uint32_t, 2> dynamic_ports;  // TCP, UDP
  std::array<std::uint32_t, 2> dynamic_free;
  std::uint64_t claims;
  std::uint64_t claims_refused;
  std::uint64_t denials;       // binds that the guard refused
  std::uint64_t denials_lost;  // of these, not told by the kernel for want of room
  PortEnforcement reservation;
  PortEnforcement holders;
  PortEnforcement guard;
  std::uint32_t holder_sockets;  // that are there: whoever binds a TCP port sets SO_REUSEPORT
  Text reservation_text;
  Text holders_text;
  Text guard_text;
  std::array<std::uint64_t, 13> reserved1;
};
static_assert(sizeof(PortSummaryRow) == 896);

// The last binds of this group's ports that the guard refused: a ring, the newest has the highest number.
struct alignas(kCacheLineBytes) PortDenialRow {
  RowSequence sequence;
  std::uint32_t pid;
  std::uint64_t number;  // from 1; 0: the row is empty
  std::int64_t at_s;
  std::uint32_t uid;  // real
  std::uint32_t gid;
  std::uint16_t port;
  std::uint8_t protocol;  // kPortTcp or kPortUdp
  std::uint8_t reserved0;
  std::uint32_t reserved1;
  ProgramName program;  // as the process calls itself
  std::array<std::uint64_t, 7> reserved2;
};
static_assert(sizeof(PortDenialRow) == 128);

// ---- In the client's own part ----

// Ports on lease to the client, at `leases_offset`. One word for each: `generation << 32 | port << 8 | state`; see
// port_lease.hpp. The engine offers, the client takes.
struct PortLeases {
  std::array<std::atomic<std::uint64_t>, config::kPortLeasesMax> tcp;
  std::array<std::atomic<std::uint64_t>, config::kPortLeasesMax> udp;
};
static_assert(sizeof(PortLeases) == 512);

}  // namespace tlsmux::shm
