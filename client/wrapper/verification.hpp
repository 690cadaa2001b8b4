#pragma once

// The certificates that the engine got, verified as libssl would verify those of a handshake of its own: with the program's
// store, parameters (name, address, flags, depth, time) and callbacks.

#include "client/wrapper/session_facts.hpp"

namespace tlsmux::wrapper {

// SSL_CTX_set_cert_verify_callback's, of which OpenSSL tells nobody.
struct OwnVerification {
  int (*callback)(X509_STORE_CTX*, void*) = nullptr;  // null: OpenSSL's
  void* argument = nullptr;
};

struct Verification {
  int verdict = 0;           // over 0: good
  bool is_accepted = false;  // as SSL_get_verify_mode demands; if not, the errors are in the queue
  long result = X509_V_OK;   // as of SSL_get_verify_result
  Chain verified;            // may be null
};

// `chain` is not empty.
Verification verify(SSL* ssl, const Chain& chain, const OwnVerification& own);

}  // namespace tlsmux::wrapper
