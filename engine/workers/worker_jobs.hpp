#pragma once

// What a data loop asks of the threads that may take long, and what they post back.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/mux/address.hpp"
#include "engine/mux/ids.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine {

// One step of a TLS handshake. The session goes with the job and comes back with the result, so that one thread at a
// time has it.
struct HandshakeJob {
  mux::SessionId session;
  std::unique_ptr<tls::TlsSession> tls;
  std::vector<std::byte> received;  // what has come from the host since the last step; empty in the first
};

struct HandshakeResult {
  mux::SessionId session;
  std::unique_ptr<tls::TlsSession> tls;
  std::vector<std::byte> output;  // to be sent, after an error too (the alert)
  std::expected<tls::HandshakeState, tls::TlsError> state;
};

// A name to look up. Literal addresses need no lookup: see mux::parse_literal.
struct ResolveJob {
  mux::SessionId session;
  std::string host;
  std::uint16_t port = 0;
};

struct ResolveResult {
  mux::SessionId session;
  std::expected<std::vector<mux::Address>, std::string> addresses;  // at least one, best first; or why there is none
};

using WorkerResult = std::variant<HandshakeResult, ResolveResult>;

}  // namespace tlsmux::engine
