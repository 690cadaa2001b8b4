#pragma once

// Which of the program's sockets are connected to the engine's listener instead of where it wanted to go. Told by what the
// kernel says of a socket, so that nothing needs to be known of close and dup: one local address has one connection to the
// listener, and an inode tells it from an earlier one.

#include <sys/types.h>

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "client/ports/inet_socket.hpp"
#include "shm/stream_record.hpp"

namespace tlsmux::wrapper {

struct Redirection {
  client::InetAddress original;  // where the program wanted to go
  std::uint64_t inode = 0;
  std::uint16_t listener_port = 0;  // of the engine
  std::array<std::uint8_t, shm::kStreamTicketBytes> ticket{};
  bool any_identity = false;
};

// Thread-safe.
class RedirectedSockets {
 public:
  // `local` is the socket's.
  void add(const client::InetAddress& local, const Redirection& redirection);
  // Nothing: it is not redirected, or this process cannot know. Keeps errno.
  std::optional<Redirection> find(int socket);
  void remove(int socket);

  // Around fork.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Local {
    std::array<std::uint8_t, 16> address{};
    std::uint16_t port = 0;

    auto operator<=>(const Local&) const = default;
  };
  static Local local_of(const client::InetAddress& address);

  // Relaxed: who added one asks in the same thread, or was told by it.
  std::atomic<bool> is_empty_ = true;
  std::mutex mutex_;
  std::map<Local, Redirection> sockets_;  // as many as there are local ports at the most
};

// 0: it is no socket.
std::uint64_t inode_of(int socket);

}  // namespace tlsmux::wrapper
