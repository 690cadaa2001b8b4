#include "ports/diagnosis/connection_lookup.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "ports/diagnosis/sock_diag_socket.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::size_t kIpv4At = 12;  // in an IPv4-mapped address

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};
static_assert(sizeof(Request) == sizeof(nlmsghdr) + sizeof(inet_diag_req_v2));

bool is_ipv4(const shm::PeerAddress& address) {
  constexpr std::array<std::uint8_t, kIpv4At> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.address.begin());
}

void put(__be32 (&to)[4], const shm::PeerAddress& from) {
  const std::size_t at = is_ipv4(from) ? kIpv4At : 0;
  std::memcpy(to, from.address.data() + at, from.address.size() - at);
}

inet_diag_sockid id_of(const shm::PeerAddress& local, const shm::PeerAddress& remote) {
  inet_diag_sockid id{};
  id.idiag_sport = htons(local.port);
  id.idiag_dport = htons(remote.port);
  put(id.idiag_src, local);
  put(id.idiag_dst, remote);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return id;
}

shm::SystemError error_of(int code) {
  return {.code = code,
          .message = std::string("asking the kernel for a connection (sock_diag): ") + std::strerror(code)};
}

// The kernel answers for a listener where there is no connection.
std::optional<ConnectionOwner> owner_of(const inet_diag_msg& message, const inet_diag_sockid& wanted) {
  const bool is_it = message.id.idiag_sport == wanted.idiag_sport && message.id.idiag_dport == wanted.idiag_dport;
  if (!is_it || message.idiag_state == TCP_LISTEN || message.idiag_inode == 0) return std::nullopt;
  return ConnectionOwner{.inode = message.idiag_inode, .uid = message.idiag_uid};
}

}  // namespace

std::expected<ConnectionLookup, shm::SystemError> ConnectionLookup::open() {
  auto socket = open_sock_diag();
  if (!socket) return std::unexpected(socket.error());
  return ConnectionLookup(std::move(*socket));
}

std::expected<std::optional<ConnectionOwner>, shm::SystemError> ConnectionLookup::owner(
    const shm::PeerAddress& local, const shm::PeerAddress& remote) {
  if (is_ipv4(local) != is_ipv4(remote)) return std::nullopt;
  Request request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_seq = ++sequence_;
  request.body.sdiag_family = is_ipv4(local) ? AF_INET : AF_INET6;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0U;
  request.body.id = id_of(local, remote);
  while (::send(socket_.get(), &request, sizeof request, 0) < 0) {
    if (errno != EINTR) return std::unexpected(error_of(errno));
  }
  while (true) {
    alignas(nlmsghdr) std::array<std::byte, 4096> answer{};
    const auto size = ::recv(socket_.get(), answer.data(), answer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(error_of(errno));
    nlmsghdr header{};
    if (static_cast<std::size_t>(size) < sizeof header) return std::unexpected(error_of(EBADMSG));
    std::memcpy(&header, answer.data(), sizeof header);
    if (header.nlmsg_seq != sequence_) continue;
    const auto body_bytes = static_cast<std::size_t>(size) - sizeof header;
    if (header.nlmsg_type == NLMSG_ERROR) {
      int code = 0;
      if (body_bytes < sizeof code) return std::unexpected(error_of(EBADMSG));
      std::memcpy(&code, answer.data() + sizeof header, sizeof code);
      if (code == -ENOENT) return std::nullopt;
      return std::unexpected(error_of(-code));
    }
    inet_diag_msg message{};
    if (body_bytes < sizeof message) return std::unexpected(error_of(EBADMSG));
    std::memcpy(&message, answer.data() + sizeof header, sizeof message);
    return owner_of(message, request.body.id);
  }
}

}  // namespace tlsmux::ports
