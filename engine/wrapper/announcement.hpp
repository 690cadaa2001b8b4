#pragma once

// What passes between the control thread and the wrapper thread.

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/stream_record.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::wrapper {

// A socket that a process has announced; the control thread has judged that the process may use the upstream.
struct Announcement {
  shm::PeerAddress local;     // of the process's socket
  shm::PeerAddress original;  // where the process wanted to go
  bool may_relay = false;     // a rule covers `original`
  std::uint64_t socket_inode = 0;
  std::uint32_t socket_uid = 0;
  std::array<std::uint8_t, shm::kStreamTicketBytes> ticket{};
  std::string upstream;
  std::vector<std::uint32_t> groups;  // as a member of which the process may have it
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
};

// ---- To the wrapper thread ----

struct Stop {};

using WrapperCommand = std::variant<Announcement, Stop>;

// ---- To the control thread: one of the two for each announcement ----

// The process has shown its ticket.
struct StartedStream {
  Announcement announcement;
  std::string alpn;      // as in RFC 7301; empty: it does not mind
  shm::UniqueFd socket;  // blocking; everything before the stream's own bytes has been read
};

// The socket never came, or its relay is over.
struct SocketGone {
  std::uint32_t uid = 0;  // the announcement's
};

using WrapperNews = std::variant<StartedStream, SocketGone>;

}  // namespace tlsmux::engine::wrapper
