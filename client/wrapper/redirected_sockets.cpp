#include "client/wrapper/redirected_sockets.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "client/wrapper/peer_address.hpp"

namespace tlsmux::wrapper {

RedirectedSockets::Local RedirectedSockets::local_of(const client::InetAddress& address) {
  const auto peer = peer_address(address);
  return {.address = peer.address, .port = peer.port};
}

void RedirectedSockets::add(const client::InetAddress& local, const Redirection& redirection) {
  const std::lock_guard lock(mutex_);
  sockets_.insert_or_assign(local_of(local), redirection);
  is_empty_.store(false, std::memory_order_relaxed);
}

std::optional<Redirection> RedirectedSockets::find(int socket) {
  if (is_empty_.load(std::memory_order_relaxed)) return std::nullopt;
  const int error = errno;
  const auto local = local_address(socket);
  const auto inode = inode_of(socket);
  errno = error;
  if (!local) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = sockets_.find(local_of(*local));
  return found != sockets_.end() && found->second.inode == inode ? std::optional(found->second) : std::nullopt;
}

void RedirectedSockets::remove(int socket) {
  if (is_empty_.load(std::memory_order_relaxed)) return;
  const auto local = local_address(socket);
  if (!local) return;
  const std::lock_guard lock(mutex_);
  sockets_.erase(local_of(*local));
}

std::uint64_t inode_of(int socket) {
  struct stat status{};
  return ::fstat(socket, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

}  // namespace tlsmux::wrapper
