// What a program asks of its session. What OpenSSL looks up in the SSL_SESSION (session_facts.hpp), in the program's own
// settings or in its shutdown flags is not here: certificate, cipher, session, server name, verification's result.

#include "client/wrapper/interposed.hpp"

using namespace tlsmux::wrapper;

namespace {

// Its version and suite are known.
const tlsmux::shm::StreamOpened* opened(const SSL* ssl) {
  const auto* const one = ours(ssl);
  const auto* const session = one != nullptr ? one->session() : nullptr;
  return session != nullptr && session->stream().is_opened() ? &session->stream().opened() : nullptr;
}

bool has_failed(const WrappedSsl& one) {
  return one.stage() == Stage::failed || (one.stage() == Stage::open && !one.is_open());
}

int not_shared(const char* function) {
  raise_error(ERR_R_UNSUPPORTED, function);
  return 0;
}

}  // namespace

TLSMUX_INTERPOSED const char* SSL_get_version(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_get_version(ssl));
  const auto* const facts = opened(ssl);
  return facts != nullptr ? version_name(facts->tls_version) : openssl().SSL_get_version(ssl);
}

TLSMUX_INTERPOSED int SSL_version(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_version(ssl));
  const auto* const facts = opened(ssl);
  return facts != nullptr ? static_cast<int>(facts->tls_version) : openssl().SSL_version(ssl);
}

TLSMUX_INTERPOSED int SSL_session_reused(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_session_reused(ssl));
  const auto* const facts = opened(ssl);
  return facts != nullptr ? static_cast<int>(facts->resumed != 0) : openssl().SSL_session_reused(ssl);
}

TLSMUX_INTERPOSED void SSL_get0_alpn_selected(const SSL* ssl, const unsigned char** data, unsigned* length) {
  TLSMUX_LEAVE_OTHERS(SSL_get0_alpn_selected(ssl, data, length));
  const auto* const one = ours(ssl);
  if (one == nullptr) return openssl().SSL_get0_alpn_selected(ssl, data, length);
  const auto protocol = carefully<std::string_view>({}, [&] { return one->protocol(); });
  *data = protocol.empty() ? nullptr : reinterpret_cast<const unsigned char*>(protocol.data());
  *length = static_cast<unsigned>(protocol.size());
}

TLSMUX_INTERPOSED STACK_OF(X509) * SSL_get_peer_cert_chain(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_get_peer_cert_chain(ssl));
  const auto* const one = ours(ssl);
  return one != nullptr ? one->chain() : openssl().SSL_get_peer_cert_chain(ssl);
}

TLSMUX_INTERPOSED STACK_OF(X509) * SSL_get0_verified_chain(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_get0_verified_chain(ssl));
  const auto* const one = ours(ssl);
  return one != nullptr ? one->verified_chain() : openssl().SSL_get0_verified_chain(ssl);
}

TLSMUX_INTERPOSED int SSL_is_init_finished(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_is_init_finished(ssl));
  const auto* const one = ours(ssl);
  return one != nullptr ? static_cast<int>(one->is_open()) : openssl().SSL_is_init_finished(ssl);
}

TLSMUX_INTERPOSED int SSL_in_init(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_in_init(ssl));
  const auto* const one = ours(ssl);
  return one != nullptr ? static_cast<int>(!one->is_open()) : openssl().SSL_in_init(ssl);
}

TLSMUX_INTERPOSED int SSL_in_before(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_in_before(ssl));
  return ours(ssl) != nullptr ? 0 : openssl().SSL_in_before(ssl);
}

// While the engine is awaited, as while a host is.
TLSMUX_INTERPOSED OSSL_HANDSHAKE_STATE SSL_get_state(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_get_state(ssl));
  const auto* const one = ours(ssl);
  if (one == nullptr) return openssl().SSL_get_state(ssl);
  if (one->stage() == Stage::open) return TLS_ST_OK;
  return one->chain() != nullptr ? TLS_ST_CR_CERT : TLS_ST_CW_CLNT_HELLO;
}

TLSMUX_INTERPOSED const char* SSL_state_string(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_state_string(ssl));
  const auto* const one = ours(ssl);
  if (one == nullptr) return openssl().SSL_state_string(ssl);
  if (has_failed(*one)) return "SSLERR";
  return one->is_open() ? "SSLOK " : "TWCH";
}

TLSMUX_INTERPOSED const char* SSL_state_string_long(const SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_state_string_long(ssl));
  const auto* const one = ours(ssl);
  if (one == nullptr) return openssl().SSL_state_string_long(ssl);
  if (has_failed(*one)) return "error";
  return one->is_open() ? "SSL negotiation finished successfully" : "SSLv3/TLS write client hello";
}

TLSMUX_INTERPOSED int SSL_renegotiate(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_renegotiate(ssl));
  return ours(ssl) != nullptr ? not_shared("SSL_renegotiate") : openssl().SSL_renegotiate(ssl);
}

TLSMUX_INTERPOSED int SSL_renegotiate_abbreviated(SSL* ssl) {
  TLSMUX_LEAVE_OTHERS(SSL_renegotiate_abbreviated(ssl));
  return ours(ssl) != nullptr ? not_shared("SSL_renegotiate_abbreviated") : openssl().SSL_renegotiate_abbreviated(ssl);
}

TLSMUX_INTERPOSED int SSL_key_update(SSL* ssl, int type) {
  TLSMUX_LEAVE_OTHERS(SSL_key_update(ssl, type));
  return ours(ssl) != nullptr ? not_shared("SSL_key_update") : openssl().SSL_key_update(ssl, type);
}

TLSMUX_INTERPOSED int SSL_export_keying_material(SSL* ssl, unsigned char* out, size_t bytes, const char* label,
                                                 size_t label_bytes, const unsigned char* context, size_t context_bytes,
                                                 int use_context) {
  TLSMUX_LEAVE_OTHERS(
      SSL_export_keying_material(ssl, out, bytes, label, label_bytes, context, context_bytes, use_context));
  if (ours(ssl) != nullptr) return not_shared("SSL_export_keying_material");
  return openssl().SSL_export_keying_material(ssl, out, bytes, label, label_bytes, context, context_bytes, use_context);
}

TLSMUX_INTERPOSED int SSL_export_keying_material_early(SSL* ssl, unsigned char* out, size_t bytes, const char* label,
                                                       size_t label_bytes, const unsigned char* context,
                                                       size_t context_bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_export_keying_material_early(ssl, out, bytes, label, label_bytes, context, context_bytes));
  if (ours(ssl) != nullptr) return not_shared("SSL_export_keying_material_early");
  return openssl().SSL_export_keying_material_early(ssl, out, bytes, label, label_bytes, context, context_bytes);
}
