#pragma once

// mbedTLS's input and output as memory: what it reads is a span, what it writes goes to a vector.
// Internal to this folder.

#include <cstddef>
#include <span>
#include <vector>

namespace tlsmux::engine::tls {

struct Bio {
  std::span<const std::byte> input;
  bool starved = false;                                // mbedTLS asked for more than there was
  std::vector<std::byte>* handshake_output = nullptr;  // null: writing fails

  // For mbedtls_ssl_set_bio(), with a Bio as context. The end of the input is "try again", never the end of the stream:
  // that is not for TLS to see.
  static int send(void* bio, const unsigned char* bytes, std::size_t count);
  static int receive(void* bio, unsigned char* bytes, std::size_t count);
};

}  // namespace tlsmux::engine::tls
