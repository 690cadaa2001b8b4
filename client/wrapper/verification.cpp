#include "client/wrapper/verification.hpp"

namespace tlsmux::wrapper {
namespace {

struct FreeContext {
  void operator()(X509_STORE_CTX* context) const { openssl().X509_STORE_CTX_free(context); }
};
using Context = std::unique_ptr<X509_STORE_CTX, FreeContext>;

X509_STORE* store_of(SSL* ssl) {
  X509_STORE* store = nullptr;
  openssl().SSL_ctrl(ssl, SSL_CTRL_GET_VERIFY_CERT_STORE, 0, static_cast<void*>(&store));
  return store != nullptr ? store : openssl().SSL_CTX_get_cert_store(openssl().SSL_get_SSL_CTX(ssl));
}

// In the order in which libssl sets them, since later ones overrule.
Context prepare(SSL* ssl, const Chain& chain) {
  Context context(openssl().X509_STORE_CTX_new());
  auto* const own =
      static_cast<X509*>(openssl().OPENSSL_sk_value(reinterpret_cast<const OPENSSL_STACK*>(chain.get()), 0));
  if (!context || openssl().X509_STORE_CTX_init(context.get(), store_of(ssl), own, chain.get()) == 0) return nullptr;
  auto* const parameters = openssl().X509_STORE_CTX_get0_param(context.get());
  openssl().X509_VERIFY_PARAM_set_auth_level(parameters, openssl().SSL_get_security_level(ssl));
  const auto certificate_flags = openssl().SSL_ctrl(ssl, SSL_CTRL_CERT_FLAGS, 0, nullptr);
  openssl().X509_STORE_CTX_set_flags(context.get(),
                                     static_cast<unsigned long>(certificate_flags) & SSL_CERT_FLAG_SUITEB_128_LOS);
  if (openssl().X509_STORE_CTX_set_ex_data(context.get(), openssl().SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) == 0) {
    return nullptr;
  }
  openssl().X509_STORE_CTX_set_default(context.get(), "ssl_server");
  openssl().X509_VERIFY_PARAM_set1(parameters, openssl().SSL_get0_param(ssl));
  if (const auto callback = openssl().SSL_get_verify_callback(ssl); callback != nullptr) {
    openssl().X509_STORE_CTX_set_verify_cb(context.get(), callback);
  }
  return context;
}

}  // namespace

Verification verify(SSL* ssl, const Chain& chain, const OwnVerification& own) {
  constexpr const char* kFunction = "tls_post_process_server_certificate";
  Verification verification;
  const auto context = prepare(ssl, chain);
  if (!context) {
    verification.result = X509_V_ERR_UNSPECIFIED;
    raise_error(ERR_R_X509_LIB, kFunction);
    return verification;
  }
  verification.verdict =
      own.callback != nullptr ? own.callback(context.get(), own.argument) : openssl().X509_verify_cert(context.get());
  verification.result = openssl().X509_STORE_CTX_get_error(context.get());
  if (openssl().X509_STORE_CTX_get0_chain(context.get()) != nullptr) {
    verification.verified.reset(openssl().X509_STORE_CTX_get1_chain(context.get()));
  }
  openssl().X509_VERIFY_PARAM_move_peername(openssl().SSL_get0_param(ssl),
                                            openssl().X509_STORE_CTX_get0_param(context.get()));
  verification.is_accepted = verification.verdict > 0 || openssl().SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE;
  if (verification.is_accepted) {
    openssl().ERR_clear_error();
  } else {
    raise_error(SSL_R_CERTIFICATE_VERIFY_FAILED, kFunction);
  }
  return verification;
}

}  // namespace tlsmux::wrapper
