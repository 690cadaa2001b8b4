#pragma once

// What the engine asks of its broker over their socketpair (SEQPACKET). Each request is one fixed struct and gets one
// reply, with descriptors or an errno and a text. The broker takes the engine for hostile: requests name things only by
// their place in the configuration that both know, never by path.

#include <array>
#include <cstdint>

#include "shm/layout.hpp"

namespace tlsmux::engine::broker {

inline constexpr std::uint32_t kBrokerMagic = 0x42584d54;  // "TMXB"
inline constexpr std::uint64_t kGroupBytesMax = 256ULL << 20;

enum class Operation : std::uint32_t {
  open_listener = 1,          // reply: the control socket, listening, non-blocking
  create_group_object = 2,    // of group `index`, `bytes` long; reply: for writing, for reading
  remove_group_objects = 3,   // of all groups
  open_file = 4,              // `file` of upstream `index`; reply: for reading, a key log for appending
  report_serving = 5,         // clients are served from now on
  reserve_trace_numbers = 6,  // `blocks` of upstream `index`; reply: `first_block`, `block_count`
  // Reads the configuration file anew. Reply: a sealed memfd with the config::ConfigBundle; with `is_refused`, one with
  // what is wrong, a line for each error.
  load_candidate = 7,
  adopt_candidate = 8,  // it is the configuration from now on
  drop_candidate = 9,   // it is forgotten
};

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
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Request) == 48);

struct Reply {
  std::uint32_t magic = kBrokerMagic;
  Operation operation{};
  std::uint64_t sequence = 0;
  std::int32_t error = 0;  // an errno; 0: done. EPROTO: the request was malformed
  std::uint32_t is_refused = 0;
  std::uint32_t first_block = 0;
  std::uint32_t block_count = 0;
  shm::Text text{};
};
static_assert(sizeof(Reply) == 272);

}  // namespace tlsmux::engine::broker
