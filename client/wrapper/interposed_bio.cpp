// BIO_f_ssl: a BIO that reads and writes by an SSL. libssl's own goes on inside libssl, where nobody can stand in front of it;
// this one makes the program's calls once the session is shared, and leaves all else to libssl's.

#include "client/wrapper/interposed.hpp"

using namespace tlsmux::wrapper;

namespace {

struct RealMethod {
  const BIO_METHOD* method = openssl().BIO_f_ssl();
  decltype(openssl().BIO_meth_get_read_ex(nullptr)) read = openssl().BIO_meth_get_read_ex(method);
  decltype(openssl().BIO_meth_get_write_ex(nullptr)) write = openssl().BIO_meth_get_write_ex(method);
  decltype(openssl().BIO_meth_get_ctrl(nullptr)) control = openssl().BIO_meth_get_ctrl(method);
  decltype(openssl().BIO_meth_get_destroy(nullptr)) destroy = openssl().BIO_meth_get_destroy(method);
};

const RealMethod& real() {
  static const RealMethod method;
  return method;
}

// Null: the BIO is libssl's to handle.
SSL* shared_of(BIO* bio) {
  SSL* ssl = nullptr;
  real().control(bio, BIO_C_GET_SSL, 0, static_cast<void*>(&ssl));
  return ours(ssl) != nullptr ? ssl : nullptr;
}

void clear_retry(BIO* bio) {
  openssl().BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
  openssl().BIO_set_retry_reason(bio, 0);
}

int settle(BIO* bio, const SSL* ssl, int result) {
  const int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ) openssl().BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
  if (error == SSL_ERROR_WANT_WRITE) openssl().BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY);
  return result;
}

int read(BIO* bio, char* into, std::size_t bytes, std::size_t* got) {
  SSL* const ssl = shared_of(bio);
  if (ssl == nullptr || into == nullptr) return real().read(bio, into, bytes, got);
  clear_retry(bio);
  return settle(bio, ssl, SSL_read_ex(ssl, into, bytes, got));
}

int write(BIO* bio, const char* from, std::size_t bytes, std::size_t* written) {
  SSL* const ssl = shared_of(bio);
  if (ssl == nullptr || from == nullptr) return real().write(bio, from, bytes, written);
  clear_retry(bio);
  return settle(bio, ssl, SSL_write_ex(ssl, from, bytes, written));
}

long control(BIO* bio, int command, long number, void* pointer) {
  SSL* const ssl = command == BIO_C_SET_SSL ? nullptr : shared_of(bio);
  if (ssl == nullptr) return real().control(bio, command, number, pointer);
  switch (command) {
    case BIO_CTRL_PENDING: return SSL_pending(ssl);
    case BIO_C_DO_STATE_MACHINE: clear_retry(bio); return settle(bio, ssl, SSL_do_handshake(ssl));
    case BIO_CTRL_RESET: SSL_shutdown(ssl); return SSL_clear(ssl);
    default: return real().control(bio, command, number, pointer);
  }
}

int destroy(BIO* bio) {
  SSL* const ssl = shared_of(bio);
  if (ssl == nullptr || openssl().SSL_up_ref(ssl) == 0) return real().destroy(bio);
  const bool closes = openssl().BIO_get_shutdown(bio) != 0;
  // It shuts down by SSL_shutdown if its call leads here; else it says that it cannot shut down what has never begun.
  openssl().ERR_set_mark();
  const int result = real().destroy(bio);
  openssl().ERR_pop_to_mark();
  if (closes && (openssl().SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0) SSL_shutdown(ssl);
  openssl().SSL_free(ssl);
  return result;
}

// Lives as long as the process, as libssl's does. Null: no memory.
const BIO_METHOD* make() {
  const auto* const from = real().method;
  BIO_METHOD* const made = openssl().BIO_meth_new(BIO_TYPE_SSL, "ssl");
  if (made == nullptr) return nullptr;
  openssl().BIO_meth_set_read_ex(made, read);
  openssl().BIO_meth_set_write_ex(made, write);
  openssl().BIO_meth_set_ctrl(made, control);
  openssl().BIO_meth_set_destroy(made, destroy);
  openssl().BIO_meth_set_create(made, openssl().BIO_meth_get_create(from));
  openssl().BIO_meth_set_puts(made, openssl().BIO_meth_get_puts(from));
  openssl().BIO_meth_set_callback_ctrl(made, openssl().BIO_meth_get_callback_ctrl(from));
  return made;
}

}  // namespace

TLSMUX_INTERPOSED const BIO_METHOD* BIO_f_ssl() {
  TLSMUX_LEAVE_OTHERS(BIO_f_ssl());
  static const BIO_METHOD* const method = make();
  return method;
}
