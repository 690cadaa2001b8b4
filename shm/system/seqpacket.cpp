#include "shm/system/seqpacket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::shm {
namespace {

union DescriptorSpace {
  cmsghdr align;
  std::array<std::byte, CMSG_SPACE(sizeof(int) * kControlDescriptorsMax)> bytes;
};

void take_descriptors(msghdr& message, std::vector<UniqueFd>& into) {
  for (auto* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const auto count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      into.emplace_back(fd);
    }
  }
}

}  // namespace

std::expected<void, SystemError> send_packet(int socket, std::span<const std::byte> bytes,
                                             std::span<const int> descriptors) {
  TMX_ASSERT(descriptors.size() <= kControlDescriptorsMax);
  iovec data{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  DescriptorSpace space{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = &space;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    auto* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return std::unexpected(last_error("sending on a control socket"));
  }
  return {};
}

std::expected<Packet, SystemError> receive_packet(int socket, Descriptors descriptors) {
  Packet packet;
  std::array<std::byte, kControlMessageBytesMax> bytes;
  iovec data{.iov_base = bytes.data(), .iov_len = bytes.size()};
  DescriptorSpace space{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptors == Descriptors::taken) {
    message.msg_control = &space;
    message.msg_controllen = sizeof space;
  }
  ssize_t received = -1;
  bool was_reset = false;
  while ((received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
    // The other side has closed without reading all. The kernel says that once, before what the other side had sent.
    if (errno == ECONNRESET && !std::exchange(was_reset, true)) continue;
    if (errno != EINTR) return std::unexpected(last_error("receiving on a control socket"));
  }
  take_descriptors(message, packet.descriptors);
  if (descriptors == Descriptors::refused && (message.msg_flags & MSG_CTRUNC) != 0) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "it sent descriptors"});
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "a control message is longer than any that exists"});
  }
  packet.bytes.assign(bytes.begin(), bytes.begin() + received);
  return packet;
}

std::expected<void, SystemError> wait_readable(int socket, int timeout_ms) {
  pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&wanted, 1, timeout_ms);
  if (ready > 0) return {};
  if (ready == 0) return std::unexpected(SystemError{.code = ETIMEDOUT, .message = "no answer on the control socket"});
  return std::unexpected(last_error("waiting on a control socket"));
}

}  // namespace tlsmux::shm
