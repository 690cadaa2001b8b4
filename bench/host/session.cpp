#include "bench/host/session.hpp"

#include <openssl/err.h>

#include <cstring>
#include <utility>

#include "bench/host/http.hpp"
#include "bench/message.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;  // of a TLS record
constexpr std::size_t kInputBytes = 64 * 1024;

}  // namespace

HostSession::HostSession(shm::UniqueFd socket, SSL_CTX* context, HostTally& tally)
    : socket_(std::move(socket)), ssl_(SSL_new(context)), tally_(tally), input_(kInputBytes) {
  SSL_set_fd(ssl_.get(), socket_.get());
  SSL_set_accept_state(ssl_.get());
}

void HostSession::settle(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  ERR_clear_error();
  if (!is_open_) ++tally_.errors;
  is_over_ = true;
}

bool HostSession::shake_hands() {
  if (const int result = SSL_do_handshake(ssl_.get()); result != 1) {
    settle(result);
    return false;
  }
  is_open_ = true;
  ++tally_.handshakes;
  if (SSL_session_reused(ssl_.get()) != 0) ++tally_.resumed;
  return true;
}

bool HostSession::read_some() {
  if (!is_open_ && !shake_hands()) return false;
  if (input_.size() - end_ < kReadBytes) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  std::size_t received = 0;
  if (const int result = SSL_read_ex(ssl_.get(), input_.data() + end_, kReadBytes, &received); result != 1) {
    settle(result);
    return false;
  }
  end_ += received;
  return true;
}

// Of the message that comes first, with what stands around it; 0 if it is not whole yet; nothing if it is none of ours.
std::optional<std::size_t> HostSession::next_bytes() const {
  const auto input = std::span(input_).subspan(begin_, end_ - begin_);
  if (begins_as_http(input)) return http_request_bytes(input);
  if (input.size() < kFrameHeadBytes) return 0;
  const auto bytes = std::to_integer<std::size_t>(input[0]) << 8 | std::to_integer<std::size_t>(input[1]);
  if (bytes < kMessageHeadBytes || bytes > kMessageBytesMax) return std::nullopt;
  return input.size() < kFrameHeadBytes + bytes ? 0 : kFrameHeadBytes + bytes;
}

// The answer's frame lies where the request's did; the next call takes it away.
std::span<std::byte> HostSession::next_frame() {
  if (is_over_) return {};
  const auto bytes = next_bytes();
  if (!bytes) {
    ++tally_.errors;
    is_over_ = true;
    return {};
  }
  if (*bytes == 0) return {};
  const auto frame = std::span(input_).subspan(begin_, *bytes);
  begin_ += frame.size();
  if (begin_ == end_) begin_ = end_ = 0;
  if (begins_as_http(frame)) {
    turn_into_http_answer(frame);
  } else {
    frame[kFrameHeadBytes + kKindOffset] = kAnswerKind;
  }
  tally_.messages.fetch_add(1, std::memory_order_relaxed);
  return frame;
}

std::uint32_t HostSession::delay_of(std::span<const std::byte> frame) {
  std::uint32_t delay_us = 0;
  if (is_http_answer(frame)) return delay_us;
  std::memcpy(&delay_us, &frame[kFrameHeadBytes + kDelayOffset], sizeof delay_us);
  return delay_us;
}

void HostSession::send() {
  while (waits_to_write() && !is_over_) {
    std::size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), output_.data() + sent_, output_.size() - sent_, &written);
    if (result != 1) return settle(result);
    sent_ += written;
  }
  output_.clear();
  sent_ = 0;
}

}  // namespace tlsmux::bench
