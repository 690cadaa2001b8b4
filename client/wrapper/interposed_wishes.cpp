// Settings that OpenSSL does not tell again, noted on their way to it.

#include "client/wrapper/interposed.hpp"

using namespace tlsmux::wrapper;

namespace {

// A lack of memory is OpenSSL's to report: its own call is next.
template <typename Function>
void note(SSL_CTX* context, Function function) {
  carefully(0, [&] {
    if (auto* const notes = notes_of(context)) function(*notes);
    return 0;
  });
}

template <typename Function>
void note(SSL* ssl, Function function) {
  carefully(0, [&] {
    if (auto* const one = wrapped(ssl)) function(*one);
    return 0;
  });
}

// A callback that is taken away again brings no identity, but one of before is not undone: that errs to the safe side.
void note_identity(SSL_CTX* context, bool is_set) {
  if (is_set) note(context, [](ContextNotes& notes) { notes.has_identity = true; });
}
void note_identity(SSL* ssl, bool is_set) {
  if (is_set) note(ssl, [](WrappedSsl& one) { one.set_identity(); });
}

std::string list_of(const unsigned char* protocols, unsigned bytes) {
  return protocols != nullptr ? std::string(reinterpret_cast<const char*>(protocols), bytes) : std::string();
}

}  // namespace

// Both return 0 when they have succeeded.
TLSMUX_INTERPOSED int SSL_CTX_set_alpn_protos(SSL_CTX* context, const unsigned char* protocols, unsigned bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_alpn_protos(context, protocols, bytes));
  const int failed = openssl().SSL_CTX_set_alpn_protos(context, protocols, bytes);
  if (failed == 0) note(context, [&](ContextNotes& notes) { notes.protocols = list_of(protocols, bytes); });
  return failed;
}

TLSMUX_INTERPOSED int SSL_set_alpn_protos(SSL* ssl, const unsigned char* protocols, unsigned bytes) {
  TLSMUX_LEAVE_OTHERS(SSL_set_alpn_protos(ssl, protocols, bytes));
  const int failed = openssl().SSL_set_alpn_protos(ssl, protocols, bytes);
  if (failed == 0) note(ssl, [&](WrappedSsl& one) { one.set_protocols(list_of(protocols, bytes)); });
  return failed;
}

TLSMUX_INTERPOSED void SSL_CTX_set_cert_verify_callback(SSL_CTX* context, int (*callback)(X509_STORE_CTX*, void*),
                                                        void* argument) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_cert_verify_callback(context, callback, argument));
  note(context, [&](ContextNotes& notes) { notes.verification = {.callback = callback, .argument = argument}; });
  openssl().SSL_CTX_set_cert_verify_callback(context, callback, argument);
}

TLSMUX_INTERPOSED void SSL_CTX_set_cert_cb(SSL_CTX* context, int (*callback)(SSL*, void*), void* argument) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_cert_cb(context, callback, argument));
  note_identity(context, callback != nullptr);
  openssl().SSL_CTX_set_cert_cb(context, callback, argument);
}

TLSMUX_INTERPOSED void SSL_set_cert_cb(SSL* ssl, int (*callback)(SSL*, void*), void* argument) {
  TLSMUX_LEAVE_OTHERS(SSL_set_cert_cb(ssl, callback, argument));
  note_identity(ssl, callback != nullptr);
  openssl().SSL_set_cert_cb(ssl, callback, argument);
}

TLSMUX_INTERPOSED void SSL_CTX_set_psk_client_callback(SSL_CTX* context, SSL_psk_client_cb_func callback) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_psk_client_callback(context, callback));
  note_identity(context, callback != nullptr);
  openssl().SSL_CTX_set_psk_client_callback(context, callback);
}

TLSMUX_INTERPOSED void SSL_set_psk_client_callback(SSL* ssl, SSL_psk_client_cb_func callback) {
  TLSMUX_LEAVE_OTHERS(SSL_set_psk_client_callback(ssl, callback));
  note_identity(ssl, callback != nullptr);
  openssl().SSL_set_psk_client_callback(ssl, callback);
}

TLSMUX_INTERPOSED void SSL_CTX_set_psk_use_session_callback(SSL_CTX* context, SSL_psk_use_session_cb_func callback) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_psk_use_session_callback(context, callback));
  note_identity(context, callback != nullptr);
  openssl().SSL_CTX_set_psk_use_session_callback(context, callback);
}

TLSMUX_INTERPOSED void SSL_set_psk_use_session_callback(SSL* ssl, SSL_psk_use_session_cb_func callback) {
  TLSMUX_LEAVE_OTHERS(SSL_set_psk_use_session_callback(ssl, callback));
  note_identity(ssl, callback != nullptr);
  openssl().SSL_set_psk_use_session_callback(ssl, callback);
}

TLSMUX_INTERPOSED int SSL_CTX_set_srp_username(SSL_CTX* context, char* name) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_set_srp_username(context, name));
  note_identity(context, name != nullptr);
  return openssl().SSL_CTX_set_srp_username(context, name);
}

// Of an engine (as OpenSSL names its plugins) that chooses a certificate. Not every OpenSSL 3 has it.
TLSMUX_INTERPOSED int SSL_CTX_set_client_cert_engine(SSL_CTX* context, ENGINE* engine) {
  TLSMUX_LEAVE_OTHERS(set_client_cert_engine(context, engine));
  const auto real = openssl().set_client_cert_engine;
  note_identity(context, engine != nullptr);
  return real != nullptr ? real(context, engine) : 0;
}

// What a program says in an extension of its own only a handshake of its own can say.
TLSMUX_INTERPOSED int SSL_CTX_add_client_custom_ext(SSL_CTX* context, unsigned type, custom_ext_add_cb add,
                                                    custom_ext_free_cb release, void* add_argument,
                                                    custom_ext_parse_cb parse, void* parse_argument) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_add_client_custom_ext(context, type, add, release, add_argument, parse, parse_argument));
  note_identity(context, true);
  return openssl().SSL_CTX_add_client_custom_ext(context, type, add, release, add_argument, parse, parse_argument);
}

TLSMUX_INTERPOSED int SSL_CTX_add_custom_ext(SSL_CTX* context, unsigned type, unsigned where,
                                             SSL_custom_ext_add_cb_ex add, SSL_custom_ext_free_cb_ex release,
                                             void* add_argument, SSL_custom_ext_parse_cb_ex parse,
                                             void* parse_argument) {
  TLSMUX_LEAVE_OTHERS(SSL_CTX_add_custom_ext(context, type, where, add, release, add_argument, parse, parse_argument));
  note_identity(context, (where & SSL_EXT_CLIENT_HELLO) != 0);
  return openssl().SSL_CTX_add_custom_ext(context, type, where, add, release, add_argument, parse, parse_argument);
}

// The DNS says whose certificate it must be: only OpenSSL itself can be told.
TLSMUX_INTERPOSED int SSL_dane_enable(SSL* ssl, const char* base_domain) {
  TLSMUX_LEAVE_OTHERS(SSL_dane_enable(ssl, base_domain));
  note(ssl, [](WrappedSsl& one) { one.leave_unshared(); });
  return openssl().SSL_dane_enable(ssl, base_domain);
}
