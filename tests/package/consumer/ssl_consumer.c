/* The least that proves that the wrapper stands before libssl in a program that is linked with it. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <tlsmux/ssl.h>
#include <tlsmux/stream.h>

int main(void) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL* const ssl = SSL_new(context);
  const int is_settled = tmx_SSL_set_shared(ssl, 1);
  const int result = SSL_connect(ssl); /* it has no socket */
  printf("ssl: %d %d %d\n", is_settled, result, SSL_get_error(ssl, result) == SSL_ERROR_SYSCALL);
  SSL_free(ssl);
  SSL_CTX_free(context);
  return is_settled == 1 && result == -1 ? 0 : 1;
}
