#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace tlsmux::bench {

struct FreeSsl {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSsl>;
using Ssl = std::unique_ptr<SSL, FreeSsl>;

// TLS 1.3 with AES-128-GCM and X25519 only, so that all who connect pay for the same. Throws std::runtime_error.
SslContext make_host_context(const std::string& certificate_file, const std::string& key_file);

}  // namespace tlsmux::bench
