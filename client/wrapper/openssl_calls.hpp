#pragma once

// OpenSSL as the process has it. The wrapper is linked with none: it must not bring one into programs that have none, and
// calls those behind it, which the program itself would have called. So nothing here may be called by its own name.

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cstdint>

#define TLSMUX_OPENSSL_CALLS(CALL)           \
  CALL(BIO_clear_flags)                      \
  CALL(BIO_f_ssl)                            \
  CALL(BIO_get_shutdown)                     \
  CALL(BIO_meth_get_callback_ctrl)           \
  CALL(BIO_meth_get_create)                  \
  CALL(BIO_meth_get_ctrl)                    \
  CALL(BIO_meth_get_destroy)                 \
  CALL(BIO_meth_get_puts)                    \
  CALL(BIO_meth_get_read_ex)                 \
  CALL(BIO_meth_get_write_ex)                \
  CALL(BIO_meth_new)                         \
  CALL(BIO_meth_set_callback_ctrl)           \
  CALL(BIO_meth_set_create)                  \
  CALL(BIO_meth_set_ctrl)                    \
  CALL(BIO_meth_set_destroy)                 \
  CALL(BIO_meth_set_puts)                    \
  CALL(BIO_meth_set_read_ex)                 \
  CALL(BIO_meth_set_write_ex)                \
  CALL(BIO_method_type)                      \
  CALL(BIO_next)                             \
  CALL(BIO_set_flags)                        \
  CALL(BIO_set_retry_reason)                 \
  CALL(CRYPTO_get_ex_new_index)              \
  CALL(ERR_clear_error)                      \
  CALL(ERR_new)                              \
  CALL(ERR_peek_error)                       \
  CALL(ERR_pop_to_mark)                      \
  CALL(ERR_set_debug)                        \
  CALL(ERR_set_error)                        \
  CALL(ERR_set_mark)                         \
  CALL(OPENSSL_sk_free)                      \
  CALL(OPENSSL_sk_new_null)                  \
  CALL(OPENSSL_sk_num)                       \
  CALL(OPENSSL_sk_pop_free)                  \
  CALL(OPENSSL_sk_push)                      \
  CALL(OPENSSL_sk_value)                     \
  CALL(SSL_CIPHER_get_protocol_id)           \
  CALL(SSL_CTX_add_client_custom_ext)        \
  CALL(SSL_CTX_add_custom_ext)               \
  CALL(SSL_CTX_ctrl)                         \
  CALL(SSL_CTX_get_cert_store)               \
  CALL(SSL_CTX_get_client_cert_cb)           \
  CALL(SSL_CTX_get_ex_data)                  \
  CALL(SSL_CTX_get_info_callback)            \
  CALL(SSL_CTX_new)                          \
  CALL(SSL_CTX_new_ex)                       \
  CALL(SSL_CTX_set_alpn_protos)              \
  CALL(SSL_CTX_set_cert_cb)                  \
  CALL(SSL_CTX_set_cert_verify_callback)     \
  CALL(SSL_CTX_set_ex_data)                  \
  CALL(SSL_CTX_set_psk_client_callback)      \
  CALL(SSL_CTX_set_psk_use_session_callback) \
  CALL(SSL_CTX_set_srp_username)             \
  CALL(SSL_SESSION_free)                     \
  CALL(SSL_SESSION_get0_peer)                \
  CALL(SSL_clear)                            \
  CALL(SSL_connect)                          \
  CALL(SSL_ct_is_enabled)                    \
  CALL(SSL_ctrl)                             \
  CALL(SSL_dane_enable)                      \
  CALL(SSL_do_handshake)                     \
  CALL(SSL_dup)                              \
  CALL(SSL_export_keying_material)           \
  CALL(SSL_export_keying_material_early)     \
  CALL(SSL_free)                             \
  CALL(SSL_get0_alpn_selected)               \
  CALL(SSL_get0_param)                       \
  CALL(SSL_get0_verified_chain)              \
  CALL(SSL_get_SSL_CTX)                      \
  CALL(SSL_get_certificate)                  \
  CALL(SSL_get_ciphers)                      \
  CALL(SSL_get_error)                        \
  CALL(SSL_get_ex_data)                      \
  CALL(SSL_get_ex_data_X509_STORE_CTX_idx)   \
  CALL(SSL_get_info_callback)                \
  CALL(SSL_get_options)                      \
  CALL(SSL_get_peer_cert_chain)              \
  CALL(SSL_get_privatekey)                   \
  CALL(SSL_get_quiet_shutdown)               \
  CALL(SSL_get_rbio)                         \
  CALL(SSL_get_rfd)                          \
  CALL(SSL_get_security_level)               \
  CALL(SSL_get_servername)                   \
  CALL(SSL_get_shutdown)                     \
  CALL(SSL_get_state)                        \
  CALL(SSL_get_verify_callback)              \
  CALL(SSL_get_verify_mode)                  \
  CALL(SSL_get_version)                      \
  CALL(SSL_get_wbio)                         \
  CALL(SSL_get_wfd)                          \
  CALL(SSL_has_pending)                      \
  CALL(SSL_in_before)                        \
  CALL(SSL_in_init)                          \
  CALL(SSL_is_dtls)                          \
  CALL(SSL_is_init_finished)                 \
  CALL(SSL_is_server)                        \
  CALL(SSL_key_update)                       \
  CALL(SSL_peek)                             \
  CALL(SSL_peek_ex)                          \
  CALL(SSL_pending)                          \
  CALL(SSL_read)                             \
  CALL(SSL_read_ex)                          \
  CALL(SSL_renegotiate)                      \
  CALL(SSL_renegotiate_abbreviated)          \
  CALL(SSL_session_reused)                   \
  CALL(SSL_set_accept_state)                 \
  CALL(SSL_set_alpn_protos)                  \
  CALL(SSL_set_cert_cb)                      \
  CALL(SSL_set_connect_state)                \
  CALL(SSL_set_ex_data)                      \
  CALL(SSL_set_psk_client_callback)          \
  CALL(SSL_set_psk_use_session_callback)     \
  CALL(SSL_set_session)                      \
  CALL(SSL_set_shutdown)                     \
  CALL(SSL_set_verify_result)                \
  CALL(SSL_shutdown)                         \
  CALL(SSL_state_string)                     \
  CALL(SSL_state_string_long)                \
  CALL(SSL_up_ref)                           \
  CALL(SSL_version)                          \
  CALL(SSL_want)                             \
  CALL(SSL_write)                            \
  CALL(SSL_write_early_data)                 \
  CALL(SSL_write_ex)                         \
  CALL(X509_STORE_CTX_free)                  \
  CALL(X509_STORE_CTX_get0_chain)            \
  CALL(X509_STORE_CTX_get0_param)            \
  CALL(X509_STORE_CTX_get1_chain)            \
  CALL(X509_STORE_CTX_get_error)             \
  CALL(X509_STORE_CTX_init)                  \
  CALL(X509_STORE_CTX_new)                   \
  CALL(X509_STORE_CTX_set_default)           \
  CALL(X509_STORE_CTX_set_ex_data)           \
  CALL(X509_STORE_CTX_set_flags)             \
  CALL(X509_STORE_CTX_set_verify_cb)         \
  CALL(X509_VERIFY_PARAM_move_peername)      \
  CALL(X509_VERIFY_PARAM_set1)               \
  CALL(X509_VERIFY_PARAM_set_auth_level)     \
  CALL(X509_free)                            \
  CALL(X509_up_ref)                          \
  CALL(X509_verify_cert)                     \
  CALL(d2i_SSL_SESSION)                      \
  CALL(d2i_X509)

namespace tlsmux::wrapper {

struct OpensslCalls {
// NOLINTNEXTLINE(bugprone-macro-parentheses): no member's name stands in parentheses
#define TLSMUX_OPENSSL_CALL(name) decltype(&::name) name = nullptr;
  TLSMUX_OPENSSL_CALLS(TLSMUX_OPENSSL_CALL)
#undef TLSMUX_OPENSSL_CALL
  // Null: this OpenSSL has it not.
  int (*set_client_cert_engine)(SSL_CTX*, ENGINE*) = nullptr;                     // SSL_CTX_set_client_cert_engine
  int (*write_ex2)(SSL*, const void*, size_t, std::uint64_t, size_t*) = nullptr;  // SSL_write_ex2, since 3.3
};

inline constexpr const char* kOpensslVersion = "OPENSSL_3.0.0";  // of its symbols

// Found by the first call, which ends the process with a line on standard error where there is no OpenSSL 3: nothing but
// a call of it leads here.
const OpensslCalls& openssl();

// Of another one: `scope` as dlsym has it. What is not there is null.
OpensslCalls openssl_calls_in(void* scope);

// OpenSSL 3's libssl is in the process, so that a connection may become one of its own.
bool has_openssl();

// The address lies in libssl: a BIO of its own calls, not the program.
bool is_in_openssl(const void* address);

// Puts an error into the thread's queue, as the function of libssl would have that is named.
void raise_error(int reason, const char* function, int library = ERR_LIB_SSL);

}  // namespace tlsmux::wrapper
