#include "tests/tls/openssl_host.hpp"

#include <openssl/err.h>

#include <array>

#include "shm/assert.hpp"

namespace tlsmux::test {

OpenSslHost::OpenSslHost(const Identity& identity, const HostSettings& settings)
    : context_(SSL_CTX_new(TLS_server_method())),
      wanted_server_name_(settings.server_name),
      protocol_(settings.protocol) {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_security_level(context, settings.version_max < TLS1_2_VERSION ? 0 : 1);
  SSL_CTX_set_min_proto_version(context, settings.version_min);
  SSL_CTX_set_max_proto_version(context, settings.version_max);
  if (!settings.suites_1_2.empty()) TMX_ASSERT(SSL_CTX_set_cipher_list(context, settings.suites_1_2.c_str()) == 1);
  if (!settings.suites_1_3.empty()) TMX_ASSERT(SSL_CTX_set_ciphersuites(context, settings.suites_1_3.c_str()) == 1);
  if (!settings.groups.empty()) TMX_ASSERT(SSL_CTX_set1_groups_list(context, settings.groups.c_str()) == 1);
  SSL_CTX_set_options(context, settings.options);
  TMX_ASSERT(SSL_CTX_use_certificate(context, identity.certificate.get()) == 1);
  TMX_ASSERT(SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1);
  if (settings.intermediate != nullptr) {
    TMX_ASSERT(SSL_CTX_add1_chain_cert(context, settings.intermediate->certificate()) == 1);
  }
  if (!protocol_.empty()) SSL_CTX_set_alpn_select_cb(context, &OpenSslHost::choose_protocol, this);
  const std::array<unsigned char, 4> id = {'t', 'e', 's', 't'};
  SSL_CTX_set_session_id_context(context, id.data(), id.size());
  if (settings.client_authority != nullptr) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), settings.client_authority->certificate());
  }
  SSL_CTX_set_tlsext_servername_callback(context, &OpenSslHost::check_server_name);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char* line) {
    auto* host = static_cast<OpenSslHost*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    host->key_log_ += std::string(line) + "\n";
  });
}

int OpenSslHost::check_server_name(SSL* ssl, int* alert, void* host) {
  auto& self = *static_cast<OpenSslHost*>(host);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  self.received_server_name_ = name != nullptr ? name : "";
  if (self.wanted_server_name_.empty() || self.wanted_server_name_ == self.received_server_name_) {
    return SSL_TLSEXT_ERR_OK;
  }
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int OpenSslHost::choose_protocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size,
                                 const unsigned char* offered, unsigned int offered_size, void* host) {
  const std::string& protocol = static_cast<OpenSslHost*>(host)->protocol_;
  for (unsigned int at = 0; at < offered_size; at += 1U + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
    if (name != protocol) continue;
    *chosen = offered + at + 1;
    *chosen_size = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

OpenSslConnection::OpenSslConnection(OpenSslHost& host) : OpenSslConnection(host.context(), Side::host) {}

OpenSslConnection::OpenSslConnection(SSL_CTX* context, Side side)
    : ssl_(SSL_new(context)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  BIO_set_mem_eof_return(in_, -1);
  SSL_set_bio(ssl_.get(), in_, out_);
  side == Side::client ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
}

void OpenSslConnection::feed(std::span<const std::byte> bytes) {
  if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  ERR_clear_error();
  std::array<char, 16384> buffer{};
  int code = 0;
  while ((code = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0) {
    received_.append(buffer.data(), static_cast<std::size_t>(code));
  }
  const int error = SSL_get_error(ssl_.get(), code);
  if (error == SSL_ERROR_ZERO_RETURN) closed_ = true;
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) {
    failed_ = true;
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    last_error_ = reason != nullptr ? reason : "";
  }
}

std::vector<std::byte> OpenSslConnection::take_output() {
  std::vector<std::byte> bytes(BIO_ctrl_pending(out_));
  if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void OpenSslConnection::write(std::string_view text) {
  TMX_ASSERT(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) == static_cast<int>(text.size()));
}

}  // namespace tlsmux::test
