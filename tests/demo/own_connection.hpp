#pragma once

// What an authorizer would pay for a TLS connection of its own, measured here and now with OpenSSL.

#include <cstdint>

namespace tlsmux::demo {

struct OwnConnection {
  double heap_kb = 0;           // context and connection, after an exchange; 0 if the allocator does not tell
  double handshake_cpu_ms = 0;  // of the client alone
};

// Opens some connections to the host at this port of 127.0.0.1 and closes them again. Failures throw
// std::runtime_error.
OwnConnection measure_own_connection(std::uint16_t port);

}  // namespace tlsmux::demo
