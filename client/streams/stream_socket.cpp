#include "client/streams/stream_socket.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tlsmux::client {
namespace {

using shm::StreamRecordType;

StreamResult result_of_error(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) return {.status = StreamStatus::would_wait, .error = error};
  if (error == EINTR) return {.status = StreamStatus::interrupted, .error = error};
  return {.status = StreamStatus::broken, .error = error};
}

// The parts' first `bytes`, as far as they go.
std::size_t clip(std::span<const iovec> parts, std::size_t bytes, std::span<iovec> to) {
  std::size_t count = 0;
  for (const auto& part : parts) {
    if (bytes == 0 || count == to.size()) break;
    const auto length = std::min(part.iov_len, bytes);
    if (length == 0) continue;
    to[count++] = {.iov_base = part.iov_base, .iov_len = length};
    bytes -= length;
  }
  return count;
}

}  // namespace

StreamResult StreamSocket::finish(StreamStatus status, int error) {
  end_error_ = error;
  last_.store(status, std::memory_order_release);
  return {.status = status, .bytes = 0, .error = error};
}

// Fills the rest of `into`. ok: it is full.
StreamResult StreamSocket::receive(std::span<std::byte> into, std::size_t& done, int flags) const {
  while (done < into.size()) {
    const auto got = ::recv(socket_, into.data() + done, into.size() - done, flags & ~MSG_PEEK);
    if (got < 0) return result_of_error(errno);
    if (got == 0) return {.status = StreamStatus::broken, .bytes = 0, .error = EPIPE};
    done += static_cast<std::size_t>(got);
  }
  return {};
}

// ok: the bytes of a data record are next, or the stream has just been opened.
StreamResult StreamSocket::next_record(int flags) {
  if (const auto last = last_status(); last != StreamStatus::ok)
    return {.status = last, .bytes = 0, .error = end_error_};
  const auto result = take_record(flags);
  return result.status == StreamStatus::broken ? finish(StreamStatus::broken, result.error) : result;
}

StreamResult StreamSocket::take_record(int flags) {
  if (const auto got = receive(header_, header_bytes_, flags); got.status != StreamStatus::ok) return got;
  shm::StreamRecordHeader header;
  std::memcpy(&header, header_.data(), sizeof header);
  const auto type = shm::type_of(header);
  const std::size_t bytes = shm::bytes_of(header);
  if (type == StreamRecordType::data && is_opened_) {
    header_bytes_ = 0;
    data_left_ = bytes;
    return {};
  }
  const bool is_end = type == StreamRecordType::lost || type == StreamRecordType::refused;
  const bool is_sound = (is_end && bytes == sizeof(shm::StreamLost)) ||
                        (type == StreamRecordType::closed && bytes == 0) ||
                        (type == StreamRecordType::opened && !is_opened_ && bytes >= sizeof(shm::StreamOpened) &&
                         bytes <= shm::kStreamOpenedBytesMax);
  if (!is_sound) return {.status = StreamStatus::broken, .bytes = 0, .error = EPROTO};
  body_.resize(bytes);
  if (const auto got = receive(body_, body_bytes_, flags); got.status != StreamStatus::ok) return got;
  header_bytes_ = body_bytes_ = 0;
  if (type == StreamRecordType::opened) return take_opened();
  if (type == StreamRecordType::closed) return finish(StreamStatus::closed);
  std::memcpy(&end_, body_.data(), sizeof end_);
  end_.text.back() = '\0';
  return finish(type == StreamRecordType::lost ? StreamStatus::lost : StreamStatus::refused);
}

StreamResult StreamSocket::take_opened() {
  std::span<const std::byte> rest(body_);
  std::memcpy(&opened_, rest.data(), sizeof opened_);
  opened_.alpn.back() = opened_.server_name.back() = '\0';
  rest = rest.subspan(sizeof opened_);
  for (std::uint32_t i = 0; i < opened_.certificates; ++i) {
    std::uint32_t bytes = 0;
    if (rest.size() >= sizeof bytes) std::memcpy(&bytes, rest.data(), sizeof bytes);
    if (rest.size() < sizeof bytes || rest.size() - sizeof bytes < bytes) {
      return {.status = StreamStatus::broken, .bytes = 0, .error = EPROTO};
    }
    const auto certificate = rest.subspan(sizeof bytes, bytes);
    certificates_.emplace_back(certificate.begin(), certificate.end());
    rest = rest.subspan(sizeof bytes + bytes);
  }
  std::vector<std::byte>().swap(body_);
  is_opened_ = true;
  return {};
}

StreamResult StreamSocket::await_opened(int flags) { return is_opened_ ? StreamResult{} : next_record(flags); }

StreamResult StreamSocket::read(std::span<const iovec> parts, int flags) {
  constexpr std::size_t kPartsMax = 64;
  if (const auto opened = await_opened(flags); opened.status != StreamStatus::ok) return opened;
  while (data_left_ == 0) {
    if (const auto next = next_record(flags); next.status != StreamStatus::ok) return next;
  }
  std::array<iovec, kPartsMax> clipped{};
  const auto count = clip(parts, data_left_, clipped);
  if (count == 0) return {};
  msghdr message{};
  message.msg_iov = clipped.data();
  message.msg_iovlen = count;
  const auto got = ::recvmsg(socket_, &message, flags);
  if (got > 0) {
    if ((flags & MSG_PEEK) == 0) data_left_ -= static_cast<std::size_t>(got);
    return {.status = StreamStatus::ok, .bytes = static_cast<std::size_t>(got)};
  }
  const auto result =
      got == 0 ? StreamResult{.status = StreamStatus::broken, .bytes = 0, .error = EPIPE} : result_of_error(errno);
  return result.status == StreamStatus::broken ? finish(StreamStatus::broken, result.error) : result;
}

std::size_t StreamSocket::pending() const {
  int there = 0;
  if (data_left_ == 0 || ::ioctl(socket_, FIONREAD, &there) != 0 || there < 0) return 0;
  return std::min(data_left_, static_cast<std::size_t>(there));
}

StreamResult StreamSocket::write(std::span<const iovec> parts, int flags) const {
  // What is over is known already; of a TCP socket the kernel would take one more piece before it knows.
  if (last_status() == StreamStatus::broken) return {.status = StreamStatus::broken, .bytes = 0, .error = end_error_};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  const auto sent = ::sendmsg(socket_, &message, flags | MSG_NOSIGNAL);
  if (sent < 0) return result_of_error(errno);
  return {.status = StreamStatus::ok, .bytes = static_cast<std::size_t>(sent)};
}

int StreamSocket::shut_down_writing() const { return ::shutdown(socket_, SHUT_WR) == 0 ? 0 : errno; }

}  // namespace tlsmux::client
