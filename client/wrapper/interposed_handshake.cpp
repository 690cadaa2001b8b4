// Handshakes, and what begins or ends them.

#include <dlfcn.h>

#include "client/wrapper/interposed.hpp"
#include "client/wrapper/standard_error.hpp"
#include "tlsmux/ssl.h"

using namespace tlsmux::wrapper;

namespace {

// Nothing: OpenSSL is to do it.
std::optional<int> shake_hands(SSL* ssl, const void* caller) {
  return carefully<std::optional<int>>(-1, [&]() -> std::optional<int> {
    auto* const one = wrapped(ssl);
    if (one == nullptr) return std::nullopt;
    // The BIO of an SSL goes on with calls inside libssl, which nobody can stand in front of.
    if (one->stage() == Stage::undecided && is_in_openssl(caller)) one->leave_unshared();
    return one->handshake();
  });
}

}  // namespace

// Whoever uses OpenSSL begins with one of these.
TLSMUX_INTERPOSED SSL_CTX* SSL_CTX_new(const SSL_METHOD* method) {
  look_for_other_openssl(__builtin_return_address(0));
  TLSMUX_LEAVE_OTHERS(SSL_CTX_new(method));
  return openssl().SSL_CTX_new(method);
}

TLSMUX_INTERPOSED SSL_CTX* SSL_CTX_new_ex(OSSL_LIB_CTX* library, const char* properties, const SSL_METHOD* method) {
  look_for_other_openssl(__builtin_return_address(0));
  TLSMUX_LEAVE_OTHERS(SSL_CTX_new_ex(library, properties, method));
  return openssl().SSL_CTX_new_ex(library, properties, method);
}

TLSMUX_INTERPOSED int SSL_connect(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_connect(ssl));
  // It need not be told that it is a client; SSL_do_handshake may go on with it.
  if (auto* const one = carefully<WrappedSsl*>(nullptr, [&] { return wrapped(ssl); })) one->set_client(true);
  const auto done = shake_hands(ssl, __builtin_return_address(0));
  return done ? *done : openssl().SSL_connect(ssl);
}

TLSMUX_INTERPOSED int SSL_do_handshake(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_do_handshake(ssl));
  const auto* const known = find_wrapped(ssl);
  const bool is_client = known != nullptr && known->is_client();
  const auto done = is_client ? shake_hands(ssl, __builtin_return_address(0)) : std::nullopt;
  return done ? *done : openssl().SSL_do_handshake(ssl);
}

TLSMUX_INTERPOSED void SSL_set_connect_state(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_set_connect_state(ssl));
  carefully(0, [&] {
    if (auto* const one = wrapped(ssl)) {
      if (one->is_ours()) one->clear();  // for another connection
      one->set_client(true);
    }
    return 0;
  });
  openssl().SSL_set_connect_state(ssl);
}

TLSMUX_INTERPOSED void SSL_set_accept_state(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_set_accept_state(ssl));
  if (auto* const known = find_wrapped(ssl)) known->set_client(false);
  openssl().SSL_set_accept_state(ssl);
}

// SSL_set_retry_verify is one of its commands: what a callback asks of OpenSSL's handshake it asks of this one.
TLSMUX_INTERPOSED long SSL_ctrl(SSL* ssl, int command, long number, void* pointer) {
  TLSMUX_LEAVE_OTHERS(SSL_ctrl(ssl, command, number, pointer));
  if (command == SSL_CTRL_SET_RETRY_VERIFY) {
    if (auto* const one = ours(ssl)) return one->verify_again(), 1;
  }
  return openssl().SSL_ctrl(ssl, command, number, pointer);
}

TLSMUX_INTERPOSED int SSL_clear(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_clear(ssl));
  // OpenSSL's own handshakes begin with it: those it is to go on with.
  auto* const known = find_wrapped(ssl);
  if (known != nullptr && !is_in_openssl(__builtin_return_address(0))) known->clear();
  return openssl().SSL_clear(ssl);
}

// After a handshake has begun OpenSSL too gives the same one once more.
TLSMUX_INTERPOSED SSL* SSL_dup(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_dup(ssl));
  if (ours(ssl) != nullptr) return openssl().SSL_up_ref(ssl) == 1 ? ssl : nullptr;
  SSL* const copy = openssl().SSL_dup(ssl);
  carefully(0, [&] {
    const auto* const known = copy != ssl ? find_wrapped(ssl) : nullptr;
    auto* const one = known != nullptr ? wrapped(copy) : nullptr;
    if (one != nullptr) one->take_wishes(*known);
    return 0;
  });
  return copy;
}

TLSMUX_INTERPOSED int SSL_write_early_data(SSL* ssl, const void* buffer, size_t bytes, size_t* written) {
  TLSMUX_LEAVE_OTHERS(SSL_write_early_data(ssl, buffer, bytes, written));
  auto* const known = find_wrapped(ssl);
  if (known != nullptr && known->is_ours()) {
    raise_error(ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED, "SSL_write_early_data");
    return 0;
  }
  if (known != nullptr) known->leave_unshared();
  return openssl().SSL_write_early_data(ssl, buffer, bytes, written);
}

int tmx_SSL_set_shared(SSL* ssl, int shared) {
  if (shared < -1 || shared > 1) return 0;
  if (is_in_openssl(::dlsym(RTLD_DEFAULT, "SSL_connect"))) {
    say_line("the program is linked with libssl before libtlsmux_ssl: nothing is shared; name libtlsmux_ssl first");
    return 0;
  }
  return carefully(0, [&] {
    auto* const one = wrapped(ssl);
    if (one == nullptr || one->stage() != Stage::undecided || openssl().SSL_in_before(ssl) == 0) return 0;
    one->set_wish(shared);
    if (shared == 1) expect_engine();
    return 1;
  });
}

int tmx_SSL_is_shared(const SSL* ssl) { return open_one(ssl) != nullptr ? 1 : 0; }
