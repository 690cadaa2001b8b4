#include "client/wrapper/shared_session.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "shm/outcome.hpp"

namespace tlsmux::wrapper {
namespace {

using client::StreamResult;
using client::StreamStatus;

constexpr std::size_t kRecordBytesMax = SSL3_RT_MAX_PLAIN_LENGTH;  // RFC 8446 section 5.1

bool has_mode(SSL* ssl, long mode) { return (openssl().SSL_ctrl(ssl, SSL_CTRL_MODE, 0, nullptr) & mode) != 0; }

void add_to_shutdown(SSL* ssl, int flags) { openssl().SSL_set_shutdown(ssl, openssl().SSL_get_shutdown(ssl) | flags); }

bool has_shutdown(const SSL* ssl, int flag) { return (openssl().SSL_get_shutdown(ssl) & flag) != 0; }

}  // namespace

// The program may have given its SSL a duplicate, or another socket and the old one's number to something else.
bool SharedSession::has_socket() {
  const int socket = openssl().SSL_get_rfd(ssl_);
  if (socket != openssl().SSL_get_wfd(ssl_)) return false;
  if (socket == stream_.socket()) return true;
  if (socket < 0 || inode_of(socket) != inode_) return false;
  stream_.move_to(socket);
  return true;
}

int SharedSession::wait(int want, int error) {
  last_.want = want;
  last_.can_retry = true;
  errno = error;
  return -1;
}

int SharedSession::fail(int error) {
  errno = error;
  return -1;
}

void SharedSession::settle(int want) {
  last_.want = want;
  last_.can_retry = false;
}

void SharedSession::raise_fatal(int reason, const char* function) {
  raise_error(reason, function);
  last_.is_fatal = true;
}

int SharedSession::fail_read(const StreamResult& result) {
  settle(SSL_READING);
  switch (result.status) {
    case StreamStatus::would_wait:
    case StreamStatus::interrupted: return wait(SSL_READING, result.error);
    case StreamStatus::closed:
      settle();
      add_to_shutdown(ssl_, SSL_RECEIVED_SHUTDOWN);
      errno = 0;
      return 0;
    case StreamStatus::ok:
    case StreamStatus::refused:
    case StreamStatus::lost:
    case StreamStatus::broken: break;
  }
  const bool is_lost = result.status == StreamStatus::lost;
  const bool is_ended_by_host = is_lost && stream_.end().reason == static_cast<std::uint32_t>(shm::Reason::host_closed);
  const bool is_reset = (is_lost && !is_ended_by_host) || result.error == ECONNRESET;
  // A connection that is reset says so once; after that it has ended.
  if (is_reset && !is_reset_told_) {
    is_reset_told_ = true;
    return fail(ECONNRESET);
  }
  const bool is_end = is_lost || is_reset || result.error == EPIPE;
  if (!is_end) return fail(result.error);
  errno = 0;
  if ((openssl().SSL_get_options(ssl_) & SSL_OP_IGNORE_UNEXPECTED_EOF) != 0) {
    add_to_shutdown(ssl_, SSL_RECEIVED_SHUTDOWN);
    return 0;
  }
  if (is_reset) settle(SSL_WRITING);  // the alert that OpenSSL writes then
  raise_fatal(SSL_R_UNEXPECTED_EOF_WHILE_READING, "ssl3_read_n");
  return 0;
}

int SharedSession::read(void* buffer, std::size_t bytes, std::size_t& got, int flags) {
  got = 0;
  if (has_shutdown(ssl_, SSL_RECEIVED_SHUTDOWN)) {
    settle();
    return 0;
  }
  errno = 0;
  settle();
  if (!has_socket()) return fail(EBADF);
  const auto result = stream_.read(std::span(static_cast<std::byte*>(buffer), bytes), flags);
  if (result.status != StreamStatus::ok) return fail_read(result);
  got = result.bytes;
  return got > 0 ? 1 : 0;
}

bool SharedSession::may_continue(const void* buffer, std::size_t bytes) {
  if (bytes < written_) {
    raise_fatal(SSL_R_BAD_LENGTH, "ssl3_write_bytes");
    return false;
  }
  if (unwritten_ != nullptr && unwritten_ != buffer && !has_mode(ssl_, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)) {
    raise_error(SSL_R_BAD_WRITE_RETRY, "ssl3_write_pending");
    return false;
  }
  return true;
}

int SharedSession::finish_write(std::size_t& written) {
  settle();
  unwritten_ = nullptr;
  written = std::exchange(written_, 0);
  return 1;
}

// As write() would, by which OpenSSL writes.
int SharedSession::fail_to_say(int error) {
  settle(SSL_WRITING);
  if (error == EPIPE) static_cast<void>(::raise(SIGPIPE));
  is_reset_told_ = is_reset_told_ || error == EPIPE || error == ECONNRESET;
  return fail(error);
}

int SharedSession::say_goodbye() {
  add_to_shutdown(ssl_, SSL_SENT_SHUTDOWN);
  settle();
  if (!has_socket()) return fail(EBADF);
  const int error = stream_.shut_down_writing();
  is_goodbye_said_ = error == 0;
  if (is_goodbye_said_) return 1;
  if (error != ENOTCONN) return fail_to_say(error);
  // It is over. Why, the kernel says once.
  int why = 0;
  socklen_t length = sizeof why;
  const bool is_known = ::getsockopt(stream_.socket(), SOL_SOCKET, SO_ERROR, &why, &length) == 0 && why != 0;
  return fail_to_say(is_known ? why : EPIPE);
}

int SharedSession::write(const void* buffer, std::size_t bytes, std::size_t& written) {
  written = 0;
  if (has_shutdown(ssl_, SSL_SENT_SHUTDOWN)) {
    settle();
    raise_error(SSL_R_PROTOCOL_IS_SHUTDOWN, "ssl_write_internal");
    return -1;
  }
  errno = 0;
  settle();
  if (!has_socket()) return fail(EBADF);
  if (!may_continue(buffer, bytes)) return -1;
  const bool takes_part = has_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE);
  const auto all = std::span(static_cast<const std::byte*>(buffer), bytes);
  while (written_ < bytes) {
    const auto rest = all.subspan(written_);
    const auto result = stream_.write(takes_part ? rest.first(std::min(rest.size(), kRecordBytesMax)) : rest);
    if (result.status == StreamStatus::ok) {
      written_ += result.bytes;
    } else if (result.status == StreamStatus::broken) {
      unwritten_ = buffer;
      return fail_to_say(result.error);
    } else {
      unwritten_ = buffer;
      return wait(SSL_WRITING, result.error);
    }
    if (takes_part) break;
  }
  return finish_write(written);
}

int SharedSession::shut_down() {
  constexpr int kBoth = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;
  errno = 0;
  if (openssl().SSL_get_quiet_shutdown(ssl_) != 0) {
    openssl().SSL_set_shutdown(ssl_, kBoth);
    return 1;
  }
  if (!has_shutdown(ssl_, SSL_SENT_SHUTDOWN) || !is_goodbye_said_) {
    if (const int result = say_goodbye(); result < 0) return result;
  } else if (!has_shutdown(ssl_, SSL_RECEIVED_SHUTDOWN)) {
    std::byte more{};
    std::size_t got = 0;
    if (const int result = read(&more, 1, got, MSG_PEEK); result > 0) {
      raise_error(SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY, "ssl3_read_bytes");
      return -1;
    }
    if (!has_shutdown(ssl_, SSL_RECEIVED_SHUTDOWN)) return -1;
  }
  return openssl().SSL_get_shutdown(ssl_) == kBoth ? 1 : 0;
}

}  // namespace tlsmux::wrapper
