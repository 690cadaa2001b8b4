#include "ports/enforcement/holder_sockets.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <expected>
#include <utility>

namespace tlsmux::ports {
namespace {

constexpr int kFamilies[] = {AF_INET, AF_INET6};

struct BoundSocket {
  shm::UniqueFd socket;
  std::uint64_t inode = 0;
};

bool bind_everywhere(int socket, int family, std::uint16_t port) {
  if (family == AF_INET) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  const int only = 1;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  return ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0 &&
         ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// The errno if it cannot be had. Changing the owner of a socket's inode changes the user that the kernel compares, without
// the thread having to become that user for a moment.
std::expected<BoundSocket, int> bind_for(uid_t user, int family, std::uint16_t port) {
  const int on = 1;
  BoundSocket bound{.socket = shm::UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  struct stat status{};
  if (!bound.socket || ::fchown(bound.socket.get(), user, static_cast<gid_t>(-1)) != 0 ||
      ::setsockopt(bound.socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
      !bind_everywhere(bound.socket.get(), family, port) || ::fstat(bound.socket.get(), &status) != 0) {
    return std::unexpected(errno);
  }
  bound.inode = status.st_ino;
  return bound;
}

}  // namespace

std::vector<HolderSockets::Failure> HolderSockets::hold(const PortSet& ports, uid_t user) {
  const bool is_other_user = user != user_;
  user_ = user;
  std::erase_if(sockets_, [&](const auto& holder) { return !ports.contains(holder.first.first); });

  std::vector<Failure> failures;
  for (const auto range : ports.ranges()) {
    for (std::uint32_t number = range.from; number <= range.to; ++number) {
      const auto port = static_cast<std::uint16_t>(number);
      if (is_other_user) release(port);
      if (const int error = hold(port); error != 0) failures.push_back({.port = port, .error = error});
    }
  }
  inodes_.clear();
  for (const auto& [place, holder] : sockets_) inodes_.insert(holder.inode);
  return failures;
}

int HolderSockets::hold(std::uint16_t port) {
  int error = 0;
  for (const int family : kFamilies) {
    if (sockets_.contains({port, family})) continue;
    auto bound = bind_for(user_, family, port);
    if (bound) {
      sockets_.emplace(std::pair(port, family), Holder{.inode = bound->inode, .socket = std::move(bound->socket)});
    } else if (bound.error() != EAFNOSUPPORT) {
      error = bound.error();
    }
  }
  return error;
}

void HolderSockets::release(std::uint16_t port) {
  for (const int family : kFamilies) sockets_.erase({port, family});
}

}  // namespace tlsmux::ports
