/* A libssl that is not OpenSSL's: names without versions, and fewer of them. */
typedef struct SSL SSL;

__attribute__((visibility("default"))) void* SSL_CTX_new(const void* method);
__attribute__((visibility("default"))) int SSL_connect(SSL* ssl);

void* SSL_CTX_new(const void* method) {
  static char context;
  (void)method;
  return &context;
}

int SSL_connect(SSL* ssl) {
  (void)ssl;
  return 42;
}
