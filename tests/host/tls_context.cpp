#include "tests/host/tls_context.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::host {
namespace {

using Result = std::expected<void, std::string>;

std::unexpected<std::string> failed(const std::string& what) {
  const std::string reason = take_ssl_error();
  return std::unexpected(what + (reason.empty() ? "" : ": " + reason));
}

Result set_version(SSL_CTX* context, TlsVersion version) {
  const int lowest = version == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  const int highest = version == TlsVersion::v1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
  if (SSL_CTX_set_min_proto_version(context, lowest) != 1 || SSL_CTX_set_max_proto_version(context, highest) != 1) {
    return failed("cannot set the TLS version");
  }
  return {};
}

// OpenSSL keeps the suites of TLS 1.3, all named TLS_..., in a list of their own.
Result set_ciphers(SSL_CTX* context, std::string_view ciphers) {
  std::string suites_1_3;
  std::string suites_1_2;
  while (!ciphers.empty()) {
    const auto colon = ciphers.find(':');
    const auto name = ciphers.substr(0, colon);
    ciphers.remove_prefix(colon == std::string_view::npos ? ciphers.size() : colon + 1);
    std::string& list = name.starts_with("TLS_") ? suites_1_3 : suites_1_2;
    if (!list.empty()) list.push_back(':');
    list.append(name);
  }
  if (!suites_1_3.empty() && SSL_CTX_set_ciphersuites(context, suites_1_3.c_str()) != 1) {
    return failed("--ciphers: no TLS 1.3 suite in \"" + suites_1_3 + "\"");
  }
  if (!suites_1_2.empty() && SSL_CTX_set_cipher_list(context, suites_1_2.c_str()) != 1) {
    return failed("--ciphers: no TLS 1.2 suite in \"" + suites_1_2 + "\"");
  }
  return {};
}

Result set_identity(SSL_CTX* context, const TlsOptions& options) {
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
    return failed("cannot use the certificate " + options.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return failed("cannot use the key " + options.key_file);
  }
  return {};
}

Result set_client_check(SSL_CTX* context, const TlsOptions& options) {
  if (options.client_certificate == ClientCertificate::none) return {};
  if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
    return failed("cannot use the authority \"" + options.ca_file + "\"");
  }
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.ca_file.c_str()));
  int mode = SSL_VERIFY_PEER;
  if (options.client_certificate == ClientCertificate::require) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, nullptr);
  return {};
}

Result set_groups(SSL_CTX* context, const std::string& groups) {
  if (groups.empty() || SSL_CTX_set1_groups_list(context, groups.c_str()) == 1) return {};
  return failed("--groups: not known to OpenSSL: \"" + groups + "\"");
}

// The list is in the form of RFC 7301: each name after its length.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes, const unsigned char* offered,
                    unsigned offered_bytes, void* wanted_list) {
  const auto& wanted = *static_cast<const std::string*>(wanted_list);
  unsigned char* found = nullptr;
  const int result = SSL_select_next_proto(&found, chosen_bytes, reinterpret_cast<const unsigned char*>(wanted.data()),
                                           static_cast<unsigned>(wanted.size()), offered, offered_bytes);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void set_alpn(SSL_CTX* context, const std::string& protocol_list) {
  if (protocol_list.empty()) return;
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, const_cast<std::string*>(&protocol_list));
}

// The keys that seal session tickets. A host restarted with the same file goes on accepting its tickets.
Result set_ticket_keys(SSL_CTX* context, const std::string& path) {
  if (path.empty()) return {};
  const auto wrong = [&](const char* what) { return std::unexpected(std::string(what) + " " + path); };
  std::array<unsigned char, 80> keys;
  shm::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file) {
    if (::read(file.get(), keys.data(), keys.size()) != ssize_t{keys.size()}) return wrong("not 80 bytes in");
  } else {
    if (RAND_bytes(keys.data(), static_cast<int>(keys.size())) != 1) return failed("no random ticket keys");
    file.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file || ::write(file.get(), keys.data(), keys.size()) != ssize_t{keys.size()}) {
      return wrong("cannot write the ticket keys to");
    }
  }
  if (SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), keys.size()) != 1) return wrong("cannot use the keys in");
  return {};
}

}  // namespace

std::string take_ssl_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return {};
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "unknown error";
}

std::expected<SslContext, std::string> make_server_context(const TlsOptions& options) {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return failed("OpenSSL gives no context");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // Buffered answers move in memory between the tries to send them.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);
  static constexpr std::string_view kSessionContext = "tlsmux-host";
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                 kSessionContext.size());
  for (const Result& result :
       {set_version(context.get(), options.version), set_ciphers(context.get(), options.ciphers),
        set_identity(context.get(), options), set_groups(context.get(), options.groups),
        set_client_check(context.get(), options), set_ticket_keys(context.get(), options.ticket_keys_file)}) {
    if (!result) return std::unexpected(result.error());
  }
  set_alpn(context.get(), options.alpn_list);
  return context;
}

}  // namespace tlsmux::host
