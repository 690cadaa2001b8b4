/* What ssl_script does at the edges of OpenSSL's and the C library's interfaces. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/engine.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/wrapper/ssl_script.h"

static SSL_SESSION* kept;
static int listener = -1;
static int other_end = -1;

/* Says the first time that it does not know yet, then what `verdict` says. */
static int verify_later(X509_STORE_CTX* store, void* verdict) {
  static int times;
  SSL* const of = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  if (times++ % 2 == 0) return SSL_set_retry_verify(of) > 0;
  if (atoi(verdict) == 0) X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return atoi(verdict);
}

static void use_socket_bio(void) {
  BIO* const bio = BIO_new_socket(tcp, BIO_NOCLOSE);
  ssl = SSL_new(context);
  SSL_set_bio(ssl, bio, bio);
}

static int add_nothing(SSL* of, unsigned type, const unsigned char** out, size_t* bytes, int* alert, void* argument) {
  (void)of, (void)type, (void)out, (void)bytes, (void)alert, (void)argument;
  return 0;
}

#ifndef OPENSSL_NO_ENGINE
static int choose_nothing(ENGINE* engine, SSL* of, STACK_OF(X509_NAME) * names, X509** certificate, EVP_PKEY** key,
                          STACK_OF(X509) * *chain, UI_METHOD* method, void* data) {
  (void)engine, (void)of, (void)names, (void)certificate, (void)key, (void)chain, (void)method, (void)data;
  return 0;
}
#endif

/* A key without a certificate. */
static void set_key(void) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  SSL_CTX_use_PrivateKey(context, key);
  EVP_PKEY_free(key);
}

static void add_extension(void) {
  printf("extension: %d\n", SSL_CTX_add_client_custom_ext(context, 1000, add_nothing, NULL, NULL, NULL, NULL));
}

/* Plugins of OpenSSL that choose a client's certificate. */
static void set_engine(void) {
#ifdef OPENSSL_NO_ENGINE
  printf("engine: 1\n");
  set_key();
#else
  ENGINE* const engine = ENGINE_new();
  ENGINE_set_id(engine, "own");
  ENGINE_set_load_ssl_client_cert_function(engine, choose_nothing);
  printf("engine: %d\n", SSL_CTX_set_client_cert_engine(context, engine));
  ENGINE_free(engine);
#endif
}

static void copy_ssl(void) {
  SSL* const copy = SSL_dup(ssl);
  printf("copy: %s\n", copy == ssl ? "the same" : copy != NULL ? "another" : "none");
  SSL_free(ssl);
  ssl = copy;
  if (SSL_get_fd(ssl) < 0) SSL_set_fd(ssl, tcp);
}

static void enable_dane(void) {
  const int has_dane = SSL_CTX_dane_enable(context);
  printf("dane: %d %d\n", has_dane, SSL_dane_enable(ssl, "host.example"));
}

/* Goes on with another number for the same socket. */
static void move_socket(void) {
  const int copy = fcntl(tcp, F_DUPFD, 100);
  SSL_set_fd(ssl, copy);
  close(tcp);
  tcp = copy;
}

static void write_by_flags(void) {
  int (*write_flags)(SSL*, const void*, size_t, uint64_t, size_t*) = NULL;
  *(void**)&write_flags = dlvsym(RTLD_DEFAULT, "SSL_write_ex2", "OPENSSL_3.3.0");
  size_t written = 0;
  const int result = write_flags != NULL ? write_flags(ssl, "hello", 5, 0, &written) : -1;
  printf("write_ex2: %d %zu\n", result, written);
}

static struct sockaddr_in loopback(unsigned short port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static struct sockaddr_in listen_for(int backlog) {
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (const struct sockaddr*)&address, sizeof address) != 0) exit(3);
  if (listen(listener, backlog) != 0) exit(3);
  getsockname(listener, (struct sockaddr*)&address, &length);
  return address;
}

/* By none of the library's functions. */
static int connect_by_kernel(const struct sockaddr_in* address) {
  const int end = socket(AF_INET, SOCK_STREAM, 0);
  if (syscall(SYS_connect, end, address, sizeof *address) != 0) exit(3);
  return end;
}

/* To a listener that takes no more connections yet. */
static void connect_slowly(void) {
  const struct sockaddr_in address = listen_for(0);
  connect_by_kernel(&address);
  tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int result = connect(tcp, (const struct sockaddr*)&address, sizeof address);
  printf("connect_slowly: %s\n", result == 0 ? "ok" : strerrorname_np(errno));
}

/* Standard error has been closed, and a connection has its number. */
static void connect_standard_error(void) {
  const struct sockaddr_in address = listen_for(1);
  dup2(connect_by_kernel(&address), STDERR_FILENO);
  other_end = accept(listener, NULL, NULL);
}

static void print_said(void) {
  char said[100];
  printf("said: %zd\n", recv(other_end, said, sizeof said, MSG_DONTWAIT));
}

static void break_standard_error(void) {
  int ends[2];
  if (pipe(ends) != 0) exit(3);
  close(ends[0]);
  dup2(ends[1], STDERR_FILENO);
}

/* To a port that it keeps whatever it is connected to. */
static void bind_to_port(void) {
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  const int reuse = 1;
  const int chooser = socket(AF_INET, SOCK_STREAM, 0);
  tcp = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(chooser, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  if (bind(chooser, (const struct sockaddr*)&address, sizeof address) != 0) exit(3);
  getsockname(chooser, (struct sockaddr*)&address, &length);
  if (bind(tcp, (const struct sockaddr*)&address, sizeof address) != 0) exit(3);
}

static void dissolve(void) {
  const struct sockaddr none = {.sa_family = AF_UNSPEC};
  printf("dissolve: %d\n", connect(tcp, &none, sizeof none));
}

static void do_nothing(int number) { (void)number; }

/* A signal each hundredth of a second. */
static void tick(int is_ticking) {
  const struct sigaction quiet = {.sa_handler = do_nothing};
  sigaction(SIGALRM, &quiet, NULL);
  const struct timeval often = {.tv_usec = is_ticking ? 10000 : 0};
  const struct itimerval timer = {.it_interval = often, .it_value = often};
  setitimer(ITIMER_REAL, &timer, NULL);
}

int do_edge(const char* name) {
  if (strcmp(name, "ticking") == 0) return tick(1), 1;
  if (strcmp(name, "calm") == 0) return tick(0), 1;
  if (strcmp(name, "bare") == 0) return ssl = SSL_new(context), SSL_set_fd(ssl, tcp), 1;
  if (strcmp(name, "socket_bio") == 0) return use_socket_bio(), 1;
  if (strcmp(name, "verify_later_1") == 0) return SSL_CTX_set_cert_verify_callback(context, verify_later, "1"), 1;
  if (strcmp(name, "verify_later_0") == 0) return SSL_CTX_set_cert_verify_callback(context, verify_later, "0"), 1;
  if (strcmp(name, "extension") == 0) return add_extension(), 1;
  if (strcmp(name, "engine") == 0) return set_engine(), 1;
  if (strcmp(name, "key") == 0) return set_key(), 1;
  if (strcmp(name, "copy") == 0) return copy_ssl(), 1;
  if (strcmp(name, "dane") == 0) return enable_dane(), 1;
  if (strcmp(name, "move") == 0) return move_socket(), 1;
  if (strcmp(name, "write_ex2") == 0) return write_by_flags(), 1;
  if (strcmp(name, "keep") == 0) return kept = SSL_get1_session(ssl), 1;
  if (strcmp(name, "offer") == 0) return printf("offer: %d\n", SSL_set_session(ssl, kept)), 1;
  if (strcmp(name, "unconnected") == 0) return tcp = socket(AF_INET, SOCK_STREAM, 0), 1;
  if (strcmp(name, "connect_slowly") == 0) return connect_slowly(), 1;
  if (strcmp(name, "take") == 0) return accept(listener, NULL, NULL) >= 0;
  if (strcmp(name, "connected_stderr") == 0) return connect_standard_error(), 1;
  if (strcmp(name, "said") == 0) return print_said(), 1;
  if (strcmp(name, "broken_stderr") == 0) return break_standard_error(), 1;
  if (strcmp(name, "bound") == 0) return bind_to_port(), 1;
  if (strcmp(name, "dissolve") == 0) return dissolve(), 1;
  if (strcmp(name, "cancelled") == 0) return pthread_cancel(pthread_self()) == 0;
  return 0;
}
