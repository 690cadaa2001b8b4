#pragma once

// What OpenSSL says of a session, from what the engine told of it.

#include <memory>
#include <string>
#include <string_view>

#include "client/streams/stream_socket.hpp"
#include "client/wrapper/openssl_calls.hpp"

namespace tlsmux::wrapper {

struct FreeSession {
  void operator()(SSL_SESSION* session) const { openssl().SSL_SESSION_free(session); }
};
struct FreeChain {
  void operator()(STACK_OF(X509) * chain) const;
};
using Session = std::unique_ptr<SSL_SESSION, FreeSession>;
using Chain = std::unique_ptr<STACK_OF(X509), FreeChain>;

// The host's own certificate first: that of `session`, which has it, so that it is not read twice; OpenSSL takes longer for that
// than for verifying it. Null: one cannot be read.
Chain chain_of(const client::StreamSocket& stream, SSL_SESSION* session);

// With the version, suite, verification's result and, once that is known, the certificate; without secrets, so that nothing
// can be resumed by it. OpenSSL's own functions look into it. Null, with errors in the queue: it knows no such suite.
Session session_of(const client::StreamSocket& stream, long verify_result, bool has_certificate);

// As SSL_get_version.
const char* version_name(std::uint32_t tls_version);

// The session is one that the SSL would have agreed to: version, suite, ALPN (`offered`, as in RFC 7301).
bool fits(SSL* ssl, const shm::StreamOpened& opened, const std::string& offered);

// `name` is in the list.
bool has_protocol(const std::string& offered, std::string_view name);

}  // namespace tlsmux::wrapper
