#pragma once

#include <openssl/ssl.h>

#include <expected>
#include <memory>
#include <string>

#include "tests/host/options.hpp"

namespace tlsmux::host {

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSslContext>;
using Ssl = std::unique_ptr<SSL, FreeSsl>;

// A server's context. `options` must outlive it. The error names the file or option and gives OpenSSL's reason.
[[nodiscard]] std::expected<SslContext, std::string> make_server_context(const TlsOptions& options);

// The reason of OpenSSL's earliest queued error, empty when there is none. Empties the queue.
[[nodiscard]] std::string take_ssl_error();

}  // namespace tlsmux::host
