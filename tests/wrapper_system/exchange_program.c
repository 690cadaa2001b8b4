/* Asks a host things that nobody else asks, and looks at each answer: a plain program, linked with OpenSSL and nothing else.
 *
 *   tlsmux_exchange_program messages|http PORT AUTHORITY NAME EXCHANGES
 *
 * A message is 4 digits of length, a key of 16 bytes, which comes back as it is, and a body; HTTP has the body only. It comes
 * back turned round, with the lowest bit of each byte flipped. Ends with 0 if all came back so, else says why. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBodyMax = 3000, kHeadMax = 200, kKeyBytes = 16 };

static const char* name;

static int fail(const char* what) {
  fprintf(stderr, "%s: %s: %s\n", name, what, ERR_reason_error_string(ERR_get_error()));
  exit(1);
}

static SSL* connect_to(const char* port, const char* authority) {
  struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  inet_pton(AF_INET, "127.0.0.1", &host.sin_addr);
  const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(tcp, (const struct sockaddr*)&host, sizeof host) != 0) fail("connect");
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (SSL_CTX_load_verify_file(context, authority) != 1) fail(authority);
  SSL* const ssl = SSL_new(context);
  SSL_CTX_free(context);
  SSL_set1_host(ssl, "localhost");
  SSL_set_tlsext_host_name(ssl, "localhost");
  SSL_set_fd(ssl, tcp);
  if (SSL_connect(ssl) != 1) fail("SSL_connect");
  return ssl;
}

static void read_exactly(SSL* ssl, char* into, int bytes) {
  for (int done = 0; done < bytes;) {
    const int got = SSL_read(ssl, into + done, bytes - done);
    if (got <= 0) fail("SSL_read");
    done += got;
  }
}

/* What the answer to this must begin with, and its length before the body. Both have room for kHeadMax. */
static int make_head(int is_http, int exchange, int bytes, char* request, char* answer) {
  if (is_http) {
    snprintf(request, kHeadMax, "POST /%s/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", name, exchange,
             bytes);
    return snprintf(answer, kHeadMax, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", bytes);
  }
  snprintf(request, kHeadMax, "%04d%.10s/%05d", kKeyBytes + bytes, name, exchange);
  return snprintf(answer, kHeadMax, "%s", request);
}

static void exchange_once(SSL* ssl, int is_http, int exchange) {
  static char request[kHeadMax + kBodyMax];
  static char answer[kHeadMax + kBodyMax];
  char head[kHeadMax];
  char body[kBodyMax];
  unsigned short random = 0;
  RAND_bytes((unsigned char*)&random, sizeof random);
  const int bytes = 1 + random % kBodyMax;
  RAND_bytes((unsigned char*)body, bytes);
  const int head_bytes = make_head(is_http, exchange, bytes, request, head);
  const int request_bytes = (int)strlen(request) + bytes;
  memcpy(request + request_bytes - bytes, body, (size_t)bytes);
  if (SSL_write(ssl, request, request_bytes) != request_bytes) fail("SSL_write");
  read_exactly(ssl, answer, head_bytes + bytes);
  if (memcmp(answer, head, (size_t)head_bytes) != 0) fail("not its own answer");
  for (int i = 0; i < bytes; ++i) {
    if (answer[head_bytes + i] != (char)(body[bytes - 1 - i] ^ 1)) fail("not its own body");
  }
}

int main(int count, char** arguments) {
  if (count != 6) return 2;
  name = arguments[4];
  SSL* const ssl = connect_to(arguments[2], arguments[3]);
  const int exchanges = atoi(arguments[5]);
  for (int i = 0; i < exchanges; ++i) exchange_once(ssl, strcmp(arguments[1], "http") == 0, i);
  /* Some say goodbye, and are owed nothing but that; some just go. */
  if (exchanges % 2 == 0 && (SSL_shutdown(ssl) != 0 || SSL_shutdown(ssl) != 1)) fail("SSL_shutdown");
  SSL_free(ssl);
  return 0;
}
