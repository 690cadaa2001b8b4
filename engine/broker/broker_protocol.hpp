#pragma once

// What the engine asks of its broker over their socketpair (SEQPACKET). Each request is one fixed struct and gets one
// reply, with descriptors or an errno and a text. The broker takes the engine for hostile: requests name things only by
// their place in the configuration that both know, never by path.

#include <array>
#include <cstdint>

#include "engine/shard/trace_ranges.hpp"
#include "shm/layout.hpp"

namespace tlsmux::engine::broker {

inline constexpr std::uint32_t kBrokerMagic = 0x42584d54;  // "TMXB"
inline constexpr std::uint64_t kGroupBytesMax = 256ULL << 20;

enum class Operation : std::uint32_t {
  open_listener = 1,         // reply: the control socket, listening, non-blocking
  create_group_object = 2,   // of group `index`, `bytes` long; reply: for writing, for reading, if `candidate` the lock
  remove_group_objects = 3,  // of all groups
  open_file = 4,             // `file` of upstream `index`; reply: for reading, a key log for appending
  report_serving = 5,        // clients are served from now on
  // `blocks` of upstream `index`; reply: `first_block`, `block_count`. The engine's first of an upstream `begins`, and
  // the reply tells what is `held`; else the request does. See engine/shard/trace_blocks.hpp.
  reserve_trace_numbers = 6,
  // Reads the configuration file anew, and takes the locks of the groups that it adds. Reply: a sealed memfd with the
  // config::ConfigBundle; with `is_refused`, one with what is wrong, a line for each error.
  load_candidate = 7,
  adopt_candidate = 8,  // it is the configuration from now on; objects and locks of groups that are gone go
  drop_candidate = 9,   // it is forgotten, and what was made for its groups goes
  // Reply: for reading, the object of group `index` that an engine before this one made, or what was kept of it when
  // tlsmuxd was stopped. ENOENT: there is none.
  open_predecessor = 10,
  find_socket_owners = 11,  // of `sockets`; reply: `owners`, of those on ports of the configured groups
  // How the ports of group `index` are kept from others. Reply: a sealed memfd with PortLevelsRecord, then an inode for
  // each socket that holds a port of it.
  port_enforcement = 12,
  open_guard_events = 13,   // reply: descriptors for ports::GuardEvents. ENOENT: there is no guard
  admit_to_guard = 14,      // process `pid`, a member of group `index`; EACCES if it is none
  dismiss_from_guard = 15,  // the same process
  // Reply: an eventfd that counts when the broker has put back what enforces ports, or has failed to.
  watch_port_enforcement = 16,
};

inline constexpr std::size_t kSocketOwnersMax = 8;  // of one request

enum class FileKind : std::uint32_t {
  none = 0,
  ca_file = 1,
  ca_directory_entry = 2,  // number `entry`; ENOENT after the last one. 0 reads the directory anew
  certificate_file = 3,
  key_file = 4,
  crl_file = 5,
  passphrase_file = 6,
  key_log_file = 7,  // EPERM unless the environment of the broker allows key logs
};

// Fields that an operation does not use are zero.
struct Request {
  std::uint32_t magic = kBrokerMagic;
  Operation operation{};
  std::uint64_t sequence = 0;  // comes back in the reply
  std::uint32_t index = 0;
  FileKind file = FileKind::none;
  std::uint32_t entry = 0;
  std::uint32_t blocks = 0;
  std::uint64_t bytes = 0;
  std::uint32_t candidate = 0;  // 1: `index` is a place in the candidate
  std::uint32_t begins = 0;     // 0 or 1
  std::uint32_t reserved = 0;
  std::uint32_t pid = 0;
  TraceHolds held{};
  std::array<std::uint64_t, kSocketOwnersMax> sockets{};  // inodes; zeros behind the last
};
static_assert(sizeof(Request) == 640);

struct SocketOwnerRecord {
  std::uint64_t socket_inode = 0;
  std::uint64_t pidfd_inode = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  shm::ProgramName program{};
};
static_assert(sizeof(SocketOwnerRecord) == 56);

struct Reply {
  std::uint32_t magic = kBrokerMagic;
  Operation operation{};
  std::uint64_t sequence = 0;
  std::int32_t error = 0;  // an errno; 0: done. EPROTO: the request was malformed
  std::uint32_t is_refused = 0;
  std::uint32_t first_block = 0;
  std::uint32_t block_count = 0;
  shm::Text text{};
  TraceHolds held{};
  std::uint32_t owner_count = 0;
  std::uint32_t reserved = 0;
  std::array<SocketOwnerRecord, kSocketOwnersMax> owners{};
};
static_assert(sizeof(Reply) == 1248);

struct PortLevelRecord {
  shm::PortEnforcement state{};
  shm::Text text{};
};

struct PortLevelsRecord {
  PortLevelRecord reservation;
  PortLevelRecord holders;
  PortLevelRecord guard;
  std::uint32_t holder_count = 0;
};
static_assert(sizeof(PortLevelsRecord) == 3 * 244 + 4);

}  // namespace tlsmux::engine::broker
