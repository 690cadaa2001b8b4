/* What ssl_script asks of its session and its socket. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/wrapper/ssl_script.h"

static void print_name(const char* what, X509_NAME* name) {
  char text[200];
  printf("  %s %s\n", what, X509_NAME_oneline(name, text, sizeof text));
}

void print_facts(void) {
  X509* peer = SSL_get1_peer_certificate(ssl);
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  const unsigned char* protocol = NULL;
  unsigned protocol_bytes = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &protocol_bytes);
  printf("facts: %s %x %s %s, finished %d, in init %d, before %d, state %d, %s\n", SSL_get_version(ssl),
         (unsigned)SSL_version(ssl), SSL_CIPHER_get_name(cipher), SSL_CIPHER_get_version(cipher),
         SSL_is_init_finished(ssl), SSL_in_init(ssl), SSL_in_before(ssl), (int)SSL_get_state(ssl),
         SSL_state_string_long(ssl));
  printf("  reused %d, alpn %.*s, name %s, verified %s, peer name %s, socket %d\n", SSL_session_reused(ssl),
         (int)protocol_bytes, protocol != NULL ? (const char*)protocol : "",
         SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), X509_verify_cert_error_string(SSL_get_verify_result(ssl)),
         SSL_get0_peername(ssl) != NULL ? SSL_get0_peername(ssl) : "-", SSL_get_fd(ssl) == tcp);
  if (peer != NULL) print_name("peer", X509_get_subject_name(peer));
  X509_free(peer);
  STACK_OF(X509) * chains[] = {SSL_get_peer_cert_chain(ssl), SSL_get0_verified_chain(ssl)};
  for (int i = 0; i < 2; ++i) {
    printf("  chain of %d\n", chains[i] != NULL ? sk_X509_num(chains[i]) : -1);
    for (int k = 0; k < (chains[i] != NULL ? sk_X509_num(chains[i]) : 0); ++k) {
      print_name("-", X509_get_subject_name(sk_X509_value(chains[i], k)));
    }
  }
}

void print_session(void) {
  SSL_SESSION* session = SSL_get1_session(ssl);
  X509* const peer = SSL_SESSION_get0_peer(session);
  printf("session: %x %s", (unsigned)SSL_SESSION_get_protocol_version(session),
         SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(session)));
  print_name("of", X509_get_subject_name(peer));
  SSL_SESSION_free(session);
}

void print_shared(void) {
  int (*is_shared)(const SSL*) = NULL;
  *(void**)&is_shared = dlsym(RTLD_DEFAULT, "tmx_SSL_is_shared");
  printf("is_shared: %d\n", is_shared != NULL ? is_shared(ssl) : -1);
}

void connect_to(const char* port, int is_waiting) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  tcp = socket(AF_INET, SOCK_STREAM | (is_waiting ? 0 : SOCK_NONBLOCK), 0);
  const int result = connect(tcp, (const struct sockaddr*)&address, sizeof address);
  printf("connect: %s\n", result == 0 ? "ok" : strerrorname_np(errno));
}

void connect_again(const char* port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int result = connect(tcp, (const struct sockaddr*)&address, sizeof address);
  printf("again: %s\n", result == 0 ? "ok" : strerrorname_np(errno));
}

static struct addrinfo* resolve(const char* address, const char* port) {
  const struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  return getaddrinfo(address, port, &wanted, &found) == 0 ? found : NULL;
}

void connect_from(const char* from, const char* to, const char* port) {
  struct addrinfo* const local = resolve(from, "0");
  struct addrinfo* const remote = resolve(to, port);
  tcp = socket(local->ai_family, SOCK_STREAM, 0);
  int result = bind(tcp, local->ai_addr, local->ai_addrlen);
  if (result == 0) result = connect(tcp, remote->ai_addr, remote->ai_addrlen);
  printf("connect: %s\n", result == 0 ? "ok" : strerrorname_np(errno));
  freeaddrinfo(local);
  freeaddrinfo(remote);
}

void print_peer(void) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  char name[100] = "";
  char port[20] = "";
  int result = getpeername(tcp, (struct sockaddr*)&address, &length);
  if (result == 0) {
    result = getnameinfo((struct sockaddr*)&address, length, name, sizeof name, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV);
  }
  printf("peer: %s %s %s %u\n", result == 0 ? "ok" : strerrorname_np(errno), port, name, length);
}
