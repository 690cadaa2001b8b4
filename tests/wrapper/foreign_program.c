/* Linked with foreign_ssl.c. */
#include <stdio.h>

void* SSL_CTX_new(const void* method);
int SSL_connect(void* ssl);

int main(void) {
  void* const context = SSL_CTX_new(NULL);
  printf("%d\n", SSL_connect(context));
  return 0;
}
