#pragma once

// What a program has told OpenSSL and OpenSSL tells nobody else, kept beside the SSL_CTX and the SSL by their ex_data: it
// goes when they go. As thread-safe as the object it belongs to.

#include <string>

#include "client/wrapper/verification.hpp"

namespace tlsmux::wrapper {

struct ContextNotes {
  std::string protocols;  // ALPN, as in RFC 7301
  OwnVerification verification{};
  bool has_identity = false;  // it may bring a certificate, key or name of its own to a handshake
};

class WrappedSsl;

// Null: there is nothing to note. Keep errno and the error queue.
const ContextNotes* find_notes(const SSL_CTX* context);
WrappedSsl* find_wrapped(const SSL* ssl);
// Null: no memory.
ContextNotes* notes_of(SSL_CTX* context);
WrappedSsl* wrapped(SSL* ssl);

}  // namespace tlsmux::wrapper
