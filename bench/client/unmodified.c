/* A program as there are many: it connects, does a TLS handshake by OpenSSL, verifies the host, asks once and closes. It
 * knows nothing of tlsmux and is linked with nothing of it: what it is started with decides.
 *
 * usage: ADDRESS PORT CA_FILE NAME SESSION_FILE frame|http
 *
 * NAME is sent as server name; the host's certificate must be for localhost. SESSION_FILE keeps a TLS session from process to process;
 * empty: none is kept. A frame is one of bench/message.hpp behind its length; http is a request of HTTP/1.1. Both have 300
 * bytes, and so has the answer. Says how many nanoseconds there were between connect and the answer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMessageBytes = 300, kKindAt = 20 };

static const char* session_file;

static void fail(const char* what) {
  fprintf(stderr, "%s fails\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static unsigned long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

/* The first one is kept: a ticket serves any number of times. */
static int keep_session(SSL* ssl, SSL_SESSION* session) {
  (void)ssl;
  if (access(session_file, F_OK) != 0) {
    FILE* file = fopen(session_file, "w");
    if (file == NULL || PEM_write_SSL_SESSION(file, session) != 1 || fclose(file) != 0) fail("keeping the session");
  }
  return 0; /* it stays OpenSSL's */
}

static void resume(SSL* ssl) {
  FILE* file = fopen(session_file, "r");
  if (file == NULL) return;
  SSL_SESSION* session = PEM_read_SSL_SESSION(file, NULL, NULL, NULL);
  fclose(file);
  if (session == NULL || SSL_set_session(ssl, session) != 1) fail("taking up the kept session");
  SSL_SESSION_free(session);
}

static SSL_CTX* make_context(const char* ca_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_load_verify_file(context, ca_file) != 1) fail("reading the CA file");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (*session_file != '\0') {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
  }
  return context;
}

static int connect_to(const char* host, const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  const int on = 1;
  const int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || socket_ < 0 ||
      setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      connect(socket_, (struct sockaddr*)&address, sizeof address) != 0) {
    perror("connecting");
    exit(1);
  }
  return socket_;
}

/* Returns how many bytes it has: both kinds fit. */
static int make_frame(unsigned char* to, unsigned char* answer) {
  const unsigned long long key[2] = {(unsigned long long)getpid(), now_ns()};
  to[0] = kMessageBytes >> 8;
  to[1] = kMessageBytes & 0xff;
  memset(to + 2, 0, kMessageBytes);
  memcpy(to + 2, key, sizeof key);
  for (int i = kKindAt + 1; i < kMessageBytes; ++i) to[2 + i] = (unsigned char)(i * 7 + (int)key[0]);
  to[2 + kKindAt] = 'Q';
  memcpy(answer, to, 2 + kMessageBytes);
  answer[2 + kKindAt] = 'A';
  return 2 + kMessageBytes;
}

static int make_http(unsigned char* to, unsigned char* answer) {
  static const char kRequest[] = "POST / HTTP/1.1\r\n";
  static const char kAnswer[] = "HTTP/1.1 200 OK\r\n";
  static const char kHead[] = "Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: 217\r\n\r\n";
  const int head = (int)(sizeof kRequest - 1 + sizeof kHead - 1);
  memcpy(to, kRequest, sizeof kRequest - 1);
  memcpy(to + sizeof kRequest - 1, kHead, sizeof kHead - 1);
  for (int i = head; i < kMessageBytes; ++i) to[i] = (unsigned char)('a' + (i * 7 + getpid()) % 26);
  memcpy(answer, to, kMessageBytes);
  memcpy(answer, kAnswer, sizeof kAnswer - 1);
  return kMessageBytes;
}

static void exchange(SSL* ssl, const unsigned char* request, const unsigned char* wanted, int bytes) {
  unsigned char answer[2 + kMessageBytes];
  if (SSL_write(ssl, request, bytes) != bytes) fail("writing");
  for (int got = 0; got < bytes;) {
    const int more = SSL_read(ssl, answer + got, bytes - got);
    if (more <= 0) fail("reading");
    got += more;
  }
  if (memcmp(answer, wanted, (size_t)bytes) != 0) fail("comparing the answer");
}

int main(int argc, char** argv) {
  if (argc != 7) {
    fprintf(stderr, "%s is started by tlsmux-bench\n", argv[0]);
    return 2;
  }
  const char* name = argv[4];
  session_file = argv[5];
  unsigned char request[2 + kMessageBytes];
  unsigned char wanted[2 + kMessageBytes];
  const int bytes = strcmp(argv[6], "http") == 0 ? make_http(request, wanted) : make_frame(request, wanted);
  SSL_CTX* context = make_context(argv[3]);
  SSL* ssl = SSL_new(context);
  if (ssl == NULL || SSL_set1_host(ssl, "localhost") != 1 || SSL_set_tlsext_host_name(ssl, name) != 1)
    fail("setting up TLS");
  if (*session_file != '\0') resume(ssl);

  const unsigned long long start_ns = now_ns();
  const int socket_ = connect_to(argv[1], argv[2]);
  if (SSL_set_fd(ssl, socket_) != 1 || SSL_connect(ssl) != 1) fail("the handshake");
  exchange(ssl, request, wanted, bytes);
  const unsigned long long end_ns = now_ns();

  SSL_shutdown(ssl);
  close(socket_);
  SSL_free(ssl);
  SSL_CTX_free(context);
  printf("%llu\n", end_ns - start_ns);
  return 0;
}
