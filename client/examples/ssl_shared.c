/* OpenSSL's calls on a session that the engine shares, or on one of its own: ssl_shared HOST PORT TEXT [1|0]
 * 1: the session must be shared; 0: it must not; without: as TLSMUX_SSL and the engine's rules say.
 *
 *     cc -std=c11 ssl_shared.c $(pkg-config --cflags --libs tlsmux_ssl) -o ssl_shared      libtlsmux_ssl comes before libssl */
#define _POSIX_C_SOURCE 200809L /* getaddrinfo, with -std=c11 */
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tlsmux/ssl.h>
#include <unistd.h>

static int connect_to(const char* host, const char* port) {
  struct addrinfo wanted;
  struct addrinfo* found = NULL;
  memset(&wanted, 0, sizeof wanted);
  wanted.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host, port, &wanted, &found) != 0) return -1;
  int tcp = -1;
  for (struct addrinfo* at = found; at != NULL && tcp < 0; at = at->ai_next) {
    tcp = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (tcp >= 0 && connect(tcp, at->ai_addr, at->ai_addrlen) != 0) {
      close(tcp);
      tcp = -1;
    }
  }
  freeaddrinfo(found);
  return tcp;
}

/* errno says something only if it was a system call that failed. */
static int failed(SSL* ssl, const char* what, int result) {
  const int is_call = SSL_get_error(ssl, result) == SSL_ERROR_SYSCALL && errno != 0;
  fprintf(stderr, "%s failed%s%s\n", what, is_call ? ": " : "", is_call ? strerror(errno) : "");
  ERR_print_errors_fp(stderr);
  return 0;
}

static int talk(SSL* ssl, const char* text) {
  int got = SSL_connect(ssl);
  if (got != 1) return failed(ssl, "the handshake", got);
  fprintf(stderr, "%s, %s, %s\n", tmx_SSL_is_shared(ssl) ? "shared" : "not shared", SSL_get_version(ssl),
          SSL_get_cipher(ssl));
  got = SSL_write(ssl, text, (int)strlen(text));
  if (got <= 0) return failed(ssl, "writing", got);
  SSL_shutdown(ssl); /* no more is asked; answers still come */
  char buffer[4096];
  while ((got = SSL_read(ssl, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)got, stdout);
  return SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN || failed(ssl, "reading", got);
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int tcp = connect_to(argv[1], argv[2]);
  if (tcp < 0) return fprintf(stderr, "cannot connect\n"), 1;
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_default_verify_paths(context);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL* const ssl = SSL_new(context);
  SSL_set_tlsext_host_name(ssl, argv[1]);
  SSL_set1_host(ssl, argv[1]);
  SSL_set_fd(ssl, tcp);
  if (argc > 4 && tmx_SSL_set_shared(ssl, atoi(argv[4])) != 1) fprintf(stderr, "it cannot be said any more\n");

  const int is_good = talk(ssl, argv[3]);
  SSL_free(ssl);
  SSL_CTX_free(context);
  close(tcp);
  return is_good ? 0 : 1;
}
