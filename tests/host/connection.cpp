#include "tests/host/connection.hpp"

#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace tlsmux::host {
namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;
constexpr int kRecordsPerTurn = 8;  // so that one busy connection does not starve the others

}  // namespace

Connection::Connection(shm::UniqueFd socket, Ssl ssl) : socket_(std::move(socket)), ssl_(std::move(ssl)) {
  SSL_set_fd(ssl_.get(), socket_.get());
  SSL_set_accept_state(ssl_.get());
}

IoStatus Connection::settle(int result, Wants& wants) {
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: wants = Wants::readable; return IoStatus::blocked;
    case SSL_ERROR_WANT_WRITE: wants = Wants::writable; return IoStatus::blocked;
    case SSL_ERROR_ZERO_RETURN: return IoStatus::ended;
    case SSL_ERROR_SYSCALL:
      error_ = system_error != 0 ? std::strerror(system_error) : "unexpected end of the connection";
      break;
    default: error_ = take_ssl_error();
  }
  ERR_clear_error();
  return IoStatus::failed;
}

IoStatus Connection::handshake() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) return settle(result, handshake_wants_);
  handshake_done_ = true;
  return IoStatus::done;
}

IoStatus Connection::receive() {
  for (int record = 0; record < kRecordsPerTurn; ++record) {
    const auto room = input_.prepare(kRecordBytes);
    std::size_t received = 0;
    const int result = SSL_read_ex(ssl_.get(), room.data(), room.size(), &received);
    if (result != 1) return settle(result, receive_wants_);
    input_.commit(received);
  }
  return IoStatus::done;
}

IoStatus Connection::send() {
  send_wants_ = Wants::nothing;
  while (!output_.empty()) {
    const auto bytes = output_.bytes().substr(0, record_bytes_max_);
    std::size_t sent = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
    if (result != 1) return settle(result, send_wants_);
    output_.consume(sent);
  }
  return IoStatus::done;
}

IoStatus Connection::send_notify() {
  send_wants_ = Wants::nothing;
  const int result = SSL_shutdown(ssl_.get());
  if (result < 0) return settle(result, send_wants_);
  notify_sent_ = true;
  ::shutdown(socket_.get(), SHUT_WR);
  return IoStatus::done;
}

void Connection::send_garbage(std::string_view bytes) {
  static_cast<void>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

IoStatus Connection::ask_renegotiation() {
  const bool is_1_3 = SSL_version(ssl_.get()) == TLS1_3_VERSION;
  SSL_clear_options(ssl_.get(), SSL_OP_NO_RENEGOTIATION);  // which would keep it from asking, too
  const int begun = is_1_3 ? SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) : SSL_renegotiate(ssl_.get());
  if (begun != 1) return settle(begun, send_wants_);
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? IoStatus::done : settle(result, send_wants_);
}

void Connection::send_chatter(std::size_t records) {
  for (; records > 0; --records) {
    if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) break;
    if (SSL_do_handshake(ssl_.get()) != 1) break;
  }
  ERR_clear_error();
}

void Connection::reset_on_close() {
  const linger abort{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
}

std::uint32_t Connection::events(bool reading) const {
  std::uint32_t events = 0;
  const auto add = [&](Wants wants) {
    if (wants == Wants::readable) events |= EPOLLIN;
    if (wants == Wants::writable) events |= EPOLLOUT;
  };
  if (!handshake_done_) {
    add(handshake_wants_);
    return events;
  }
  if (reading) add(receive_wants_);
  add(send_wants_);
  return events;
}

}  // namespace tlsmux::host
