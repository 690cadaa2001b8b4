#include "client/streams/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "client/attach_attempt.hpp"
#include "client/control_socket.hpp"
#include "client/monotonic_clock.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::client {
namespace {

using shm::Reason;
using shm::SystemError;

constexpr std::uint32_t kAnswerMsMin = 5000;  // the engine waits for nothing before it answers
constexpr std::size_t kPartsMax = 64;         // of one call of the kernel

std::uint32_t answer_ms(const StreamOptions& options) { return std::max(kAnswerMsMin, options.timeout_ms); }

// A signal does not end the wait.
std::expected<void, SystemError> wait_for_answer(int control, std::uint32_t timeout_ms) {
  const auto until_ns = now_ns() + ms_to_ns(timeout_ms);
  for (;;) {
    auto there = shm::wait_readable(control, ms_until(until_ns, now_ns()));
    if (there || there.error().code != EINTR) return there;
  }
}

std::expected<shm::Packet, SystemError> ask(const StreamOptions& options, const shm::UniqueFd& control) {
  shm::OpenStreamRequest request;
  shm::set_text(request.upstream, options.upstream);
  shm::set_text(request.group, options.group);
  request.wait_ms = options.timeout_ms;
  if (auto sent = shm::send_message(control.get(), request); !sent) return std::unexpected(sent.error());
  if (auto there = wait_for_answer(control.get(), answer_ms(options)); !there) return std::unexpected(there.error());
  auto packet = receive_now(control.get());
  if (!packet) return std::unexpected(packet.error());
  if (!*packet) return std::unexpected(SystemError{.code = EPROTO, .message = "the engine gave no answer"});
  if (auto refused = refusal_in(**packet)) return std::unexpected(*refused);
  if (shm::DetachedNotice notice; shm::read_message(**packet, notice)) {
    return std::unexpected(error_from(notice.error, shm::text_of(notice.text)));
  }
  return std::move(**packet);
}

std::expected<shm::UniqueFd, SystemError> ask_for_socket(const StreamOptions& options) {
  const auto control = connect_to_engine(options.control_socket, answer_ms(options));
  if (!control) return std::unexpected(control.error());
  auto packet = ask(options, *control);
  if (!packet) return std::unexpected(packet.error());
  shm::OpenStreamReply reply;
  if (!shm::read_message(*packet, reply) || packet->descriptors.size() != 1) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the engine speaks another version of the protocol"});
  }
  return std::move(packet->descriptors.front());
}

}  // namespace

std::expected<std::unique_ptr<Stream>, SystemError> Stream::open(const StreamOptions& options) {
  auto socket = ask_for_socket(options);
  if (!socket) return std::unexpected(socket.error());
  if (options.is_nonblocking && ::fcntl(socket->get(), F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
    return std::unexpected(shm::last_error("setting O_NONBLOCK"));
  }
  auto stream = std::make_unique<Stream>(std::move(*socket));
  if (options.is_nonblocking) return stream;
  if (const int error = stream->await_open(options.timeout_ms != 0 ? options.timeout_ms : UINT32_MAX); error < 0) {
    auto words = stream->end().words;
    if (words.empty()) words = "no session of the upstream came up in time";
    return std::unexpected(SystemError{.code = -error, .message = std::move(words)});
  }
  return stream;
}

int Stream::await_open(std::uint32_t timeout_ms) {
  const auto until_ns = now_ns() + ms_to_ns(timeout_ms);
  for (;;) {
    const auto result = records_.await_opened(MSG_DONTWAIT);
    if (result.status == StreamStatus::ok) return 0;
    if (result.status != StreamStatus::would_wait && result.status != StreamStatus::interrupted)
      return error_of(result);
    if (timeout_ms == 0) return -EAGAIN;
    const int left_ms = timeout_ms == UINT32_MAX ? -1 : ms_until(until_ns, now_ns());
    if (left_ms == 0) return -ETIMEDOUT;
    pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, left_ms) < 0 && errno != EINTR) return -errno;
  }
}

bool Stream::blocks() const { return (::fcntl(socket_.get(), F_GETFL) & O_NONBLOCK) == 0; }

// 0 for the end that the host has said.
int Stream::error_of(const StreamResult& result) const {
  switch (result.status) {
    case StreamStatus::ok:
    case StreamStatus::closed: return 0;
    case StreamStatus::would_wait: return blocks() ? -ETIMEDOUT : -EAGAIN;
    case StreamStatus::interrupted: return -EINTR;
    case StreamStatus::refused:
      return static_cast<Reason>(records_.end().reason) == Reason::deadline ? -ETIMEDOUT : -ECONNABORTED;
    case StreamStatus::lost: return -ECONNRESET;
    case StreamStatus::broken: break;
  }
  return -EPIPE;
}

ssize_t Stream::read(std::span<const iovec> parts) {
  const bool has_room = std::ranges::any_of(parts, [](const iovec& part) { return part.iov_len > 0; });
  if (!has_room) return 0;
  const auto result = records_.read(parts);
  return result.status == StreamStatus::ok ? static_cast<ssize_t>(result.bytes) : error_of(result);
}

ssize_t Stream::write(std::span<const iovec> parts) {
  std::size_t written = 0;
  std::array<iovec, kPartsMax> next{};
  while (!parts.empty()) {
    const auto count = std::min(parts.size(), next.size());
    std::copy_n(parts.begin(), count, next.begin());
    parts = parts.subspan(count);
    for (std::span<iovec> left(next.data(), count); !left.empty();) {
      if (left.front().iov_len == 0) {
        left = left.subspan(1);
        continue;
      }
      const auto result = records_.write(left);
      if (result.status != StreamStatus::ok) {
        if (written > 0) return static_cast<ssize_t>(written);
        if (result.status != StreamStatus::broken || is_shut_down_) return error_of(result);
        // What the records say, if they have been read so far, is more than that nobody reads any more.
        const auto last = records_.last_status();
        const bool says_why = last == StreamStatus::lost || last == StreamStatus::refused;
        return error_of(says_why ? StreamResult{.status = last} : result);
      }
      has_written_ = true;
      written += result.bytes;
      auto taken = result.bytes;
      while (taken > 0) {
        const auto step = std::min(taken, left.front().iov_len);
        left.front() = {.iov_base = static_cast<char*>(left.front().iov_base) + step,
                        .iov_len = left.front().iov_len - step};
        taken -= step;
        if (left.front().iov_len == 0) left = left.subspan(1);
      }
    }
  }
  return static_cast<ssize_t>(written);
}

int Stream::shut_down() {
  is_shut_down_ = true;
  return -records_.shut_down_writing();
}

int Stream::set_timeouts(std::uint32_t read_timeout_ms, std::uint32_t write_timeout_ms) {
  for (const auto& [option, ms] : {std::pair(SO_RCVTIMEO, read_timeout_ms), std::pair(SO_SNDTIMEO, write_timeout_ms)}) {
    const timeval timeout{.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    if (::setsockopt(socket_.get(), SOL_SOCKET, option, &timeout, sizeof timeout) != 0) return -errno;
  }
  return 0;
}

Stream::End Stream::end() const {
  const auto last = records_.last_status();
  if (last == StreamStatus::broken) {
    return {.reason = Reason::engine_died,
            .maybe_sent = has_written_,
            .words = std::string(shm::reason_text(Reason::engine_died))};
  }
  if (last != StreamStatus::lost && last != StreamStatus::refused) return {};
  const auto& end = records_.end();
  const auto words = error_from(0, shm::text_of(end.text)).message;
  return {.reason = static_cast<Reason>(end.reason), .maybe_sent = end.maybe_sent != 0, .words = words};
}

}  // namespace tlsmux::client
