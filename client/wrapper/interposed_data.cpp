// Bytes of a session, its end, and what the last call on it was.

#include <sys/socket.h>

#include <algorithm>
#include <climits>

#include "client/wrapper/interposed.hpp"

using namespace tlsmux::wrapper;

namespace {

enum class Route {
  openssl,
  shared,
  stopped,  // the handshake that the call began has not ended: `result`
};

struct Routed {
  Route route = Route::openssl;
  SharedSession* session = nullptr;
  int result = 0;
};

// Reading and writing do the handshake first where the program has not.
Routed route(SSL* ssl) {
  auto* const known = find_wrapped(ssl);
  if (known == nullptr || known->stage() == Stage::unshared) return {};
  if (known->stage() == Stage::undecided && (!known->is_client() || openssl().SSL_in_before(ssl) == 0)) return {};
  if (!known->is_open()) {
    const auto done = carefully<std::optional<int>>(-1, [&] { return known->handshake(); });
    if (!done) return {};
    if (*done <= 0) return {.route = Route::stopped, .result = *done};
  }
  return {.route = Route::shared, .session = known->session()};
}

bool is_length(int bytes, const char* function) {
  if (bytes >= 0) return true;
  raise_error(SSL_R_BAD_LENGTH, function);
  return false;
}

// As the functions that say how many bytes; `otherwise` is OpenSSL's.
template <typename Otherwise>
int read_some(SSL* ssl, void* buffer, int bytes, int flags, Otherwise otherwise) {
  const auto routed = route(ssl);
  if (routed.route == Route::openssl) return otherwise(ssl, buffer, bytes);
  if (routed.route == Route::stopped) return routed.result;
  std::size_t got = 0;
  const int result = routed.session->read(buffer, static_cast<std::size_t>(bytes), got, flags);
  return result > 0 ? static_cast<int>(got) : result;
}

template <typename Otherwise>
int read_some_ex(SSL* ssl, void* buffer, size_t bytes, size_t* got, int flags, Otherwise otherwise) {
  const auto routed = route(ssl);
  if (routed.route == Route::openssl) return otherwise(ssl, buffer, bytes, got);
  if (routed.route == Route::stopped) return 0;
  return std::max(0, routed.session->read(buffer, bytes, *got, flags));
}

// What SSL_get_error(3) says about the order.
int error_of(const SSL* ssl, const LastCall& last, int result) {
  if (result > 0) return SSL_ERROR_NONE;
  if (const auto error = openssl().ERR_peek_error(); error != 0) {
    return ERR_GET_LIB(error) == ERR_LIB_SYS ? SSL_ERROR_SYSCALL : SSL_ERROR_SSL;
  }
  if (last.can_retry && last.want == SSL_READING) return SSL_ERROR_WANT_READ;
  if (last.can_retry && last.want == SSL_WRITING) return SSL_ERROR_WANT_WRITE;
  if (last.can_retry && last.want == SSL_RETRY_VERIFY) return SSL_ERROR_WANT_RETRY_VERIFY;
  return (openssl().SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0 ? SSL_ERROR_ZERO_RETURN : SSL_ERROR_SYSCALL;
}

}  // namespace

TLSMUX_INTERPOSED int SSL_read(SSL* ssl, void* buffer, int bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_read(ssl, buffer, bytes));
  if (!is_length(bytes, "SSL_read")) return -1;
  return read_some(ssl, buffer, bytes, 0, openssl().SSL_read);
}

TLSMUX_INTERPOSED int SSL_read_ex(SSL* ssl, void* buffer, size_t bytes, size_t* got) {
  TLSMUX_LEAVE_OTHERS(SSL_read_ex(ssl, buffer, bytes, got));
  return read_some_ex(ssl, buffer, bytes, got, 0, openssl().SSL_read_ex);
}

TLSMUX_INTERPOSED int SSL_peek(SSL* ssl, void* buffer, int bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_peek(ssl, buffer, bytes));
  if (!is_length(bytes, "SSL_peek")) return -1;
  return read_some(ssl, buffer, bytes, MSG_PEEK, openssl().SSL_peek);
}

TLSMUX_INTERPOSED int SSL_peek_ex(SSL* ssl, void* buffer, size_t bytes, size_t* got) {
  TLSMUX_LEAVE_OTHERS(SSL_peek_ex(ssl, buffer, bytes, got));
  return read_some_ex(ssl, buffer, bytes, got, MSG_PEEK, openssl().SSL_peek_ex);
}

TLSMUX_INTERPOSED int SSL_write(SSL* ssl, const void* buffer, int bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_write(ssl, buffer, bytes));
  if (!is_length(bytes, "SSL_write")) return -1;
  const auto routed = route(ssl);
  if (routed.route == Route::openssl) return openssl().SSL_write(ssl, buffer, bytes);
  if (routed.route == Route::stopped) return routed.result;
  std::size_t written = 0;
  const int result = routed.session->write(buffer, static_cast<std::size_t>(bytes), written);
  return result > 0 ? static_cast<int>(written) : result;
}

TLSMUX_INTERPOSED int SSL_write_ex(SSL* ssl, const void* buffer, size_t bytes, size_t* written) {
  TLSMUX_LEAVE_OTHERS(SSL_write_ex(ssl, buffer, bytes, written));
  const auto routed = route(ssl);
  if (routed.route == Route::openssl) return openssl().SSL_write_ex(ssl, buffer, bytes, written);
  if (routed.route == Route::stopped) return 0;
  return std::max(0, routed.session->write(buffer, bytes, *written));
}

// Since OpenSSL 3.3, whose other flags are those of QUIC.
TLSMUX_INTERPOSED int SSL_write_ex2(SSL* ssl, const void* buffer, size_t bytes, uint64_t flags, size_t* written) {
  TLSMUX_LEAVE_OTHERS(write_ex2(ssl, buffer, bytes, flags, written));
  if (flags == 0) return SSL_write_ex(ssl, buffer, bytes, written);
  if (const auto real = openssl().write_ex2; real != nullptr && ours(ssl) == nullptr) {
    return real(ssl, buffer, bytes, flags, written);
  }
  raise_error(ERR_R_UNSUPPORTED, "SSL_write_ex2");
  return 0;
}

TLSMUX_INTERPOSED int SSL_pending(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_pending(ssl));
  const auto* const one = open_one(ssl);
  if (one == nullptr) return openssl().SSL_pending(ssl);
  return static_cast<int>(std::min<std::size_t>(one->session()->pending(), INT_MAX));
}

TLSMUX_INTERPOSED int SSL_has_pending(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_has_pending(ssl));
  const auto* const one = open_one(ssl);
  if (one == nullptr) return openssl().SSL_has_pending(ssl);
  return one->session()->pending() > 0 ? 1 : 0;
}

TLSMUX_INTERPOSED int SSL_get_error(const SSL* ssl, int result) {
  TLSMUX_LEAVE_OTHERS(SSL_get_error(ssl, result));
  const auto* const one = ours(ssl);
  return one != nullptr ? error_of(ssl, one->last(), result) : openssl().SSL_get_error(ssl, result);
}

TLSMUX_INTERPOSED int SSL_want(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_want(ssl));
  const auto* const one = ours(ssl);
  return one != nullptr ? one->last().want : openssl().SSL_want(ssl);
}

TLSMUX_INTERPOSED int SSL_shutdown(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_shutdown(ssl));
  auto* const one = ours(ssl);
  if (one == nullptr) return openssl().SSL_shutdown(ssl);
  if (one->is_open()) return one->session()->shut_down();
  raise_error(SSL_R_SHUTDOWN_WHILE_IN_INIT, "SSL_shutdown");
  return -1;
}
