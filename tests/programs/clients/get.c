/* Two requests on one connection, as a C program makes them that is linked with OpenSSL and knows nothing of tlsmux:
 *   get HOST PORT AUTHORITY */
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static int connect_to(const char* host, const char* port) {
  const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  if (getaddrinfo(host, port, &wanted, &found) != 0) fail(host);
  int tcp = -1;
  for (const struct addrinfo* one = found; one != NULL && tcp < 0; one = one->ai_next) {
    tcp = socket(one->ai_family, one->ai_socktype, one->ai_protocol);
    if (connect(tcp, one->ai_addr, one->ai_addrlen) == 0) break;
    close(tcp);
    tcp = -1;
  }
  freeaddrinfo(found);
  return tcp >= 0 ? tcp : fail("connect");
}

static SSL* secure(int tcp, const char* host, const char* authority) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (SSL_CTX_load_verify_file(context, authority) != 1) fail(authority);
  SSL* const ssl = SSL_new(context);
  SSL_CTX_free(context);
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1) {
    SSL_set1_host(ssl, host);
    SSL_set_tlsext_host_name(ssl, host);
  }
  SSL_set_fd(ssl, tcp);
  if (SSL_connect(ssl) != 1) fail("SSL_connect");
  X509* const certificate = SSL_get1_peer_certificate(ssl);
  char subject[200];
  X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  X509_free(certificate);
  printf("%s %s %s %ld\n", SSL_get_version(ssl), SSL_get_cipher(ssl), subject, SSL_get_verify_result(ssl));
  return ssl;
}

static void get(SSL* ssl, const char* path) {
  char text[100000] = "";
  const int bytes = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  if (SSL_write(ssl, text, bytes) != bytes) fail("SSL_write");
  size_t got = 0;
  size_t wanted = sizeof text - 1;
  while (got < wanted) {
    const int part = SSL_read(ssl, text + got, (int)(wanted - got));
    if (part <= 0) fail("SSL_read");
    got += (size_t)part;
    text[got] = '\0';
    const char* const length = strstr(text, "Content-Length: ");
    const char* const end = strstr(text, "\r\n\r\n");
    if (length != NULL && end != NULL) wanted = (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
  }
  fputs(text, stdout);
}

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const int tcp = connect_to(arguments[1], arguments[2]);
  SSL* const ssl = secure(tcp, arguments[1], arguments[3]);
  get(ssl, "/first");
  get(ssl, "/second");
  SSL_shutdown(ssl);
  SSL_free(ssl);
  close(tcp);
  return 0;
}
