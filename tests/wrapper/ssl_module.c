/* A module of a program, linked with libssl. */
#include <openssl/ssl.h>

__attribute__((visibility("default"))) const char* state_of_new(void);

const char* state_of_new(void) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL* const ssl = SSL_new(context);
  SSL_set_connect_state(ssl);
  const char* const state = SSL_state_string_long(ssl);
  SSL_free(ssl);
  SSL_CTX_free(context);
  return state;
}
