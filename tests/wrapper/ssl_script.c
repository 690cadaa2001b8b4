/* Calls of OpenSSL on one connection, as its arguments say, in turn; prints one line for each: what it came to. A plain
 * program that knows nothing of libtlsmux_ssl.so.
 *
 *   connect PORT          a TCP connection to 127.0.0.1, blocking      nonblock, block
 *   connect_nonblock PORT the same, without waiting for it
 *   connect_from A B PORT from one address to another           again PORT  connect again
 *   dup                   goes on with a duplicate of the socket, and closes it
 *   receive_timeout MS, send_timeout MS
 *   ssl, ssl_2            an SSL with this socket; with SSL_set_rfd and SSL_set_wfd
 *   own_bio               an SSL with a BIO of the program's own       ssl_bio  reads and writes by BIO_f_ssl
 *   name N, host N, trust FILE, verify, depth N, accept, refuse, own_verify N, alpn P, max 2|3, min 2|3
 *   address A, time N, crl, stapled V (its callback's value), shared N (tmx_SSL_set_shared), is_shared
 *   certificate FILE      of the client, with its key                  mode partial|moving, quiet, ignore_eof
 *   handshake, do_handshake       until it has ended                   step   SSL_connect once
 *   read N, read_ex N, peek N, peek_ex N, all N (until N bytes are read)
 *   write N, write_ex N, text T, moved N (from another place), less N, zero, all_of N (until N bytes are written)
 *   pending, want, shutdown, facts, peer, export, renegotiate, key_update, clear, free, session
 *   renew  SSL_set_connect_state, and closes             attach SSL_set_fd
 *   await, await_data, await_out, await_end                                        fork  goes on in a child
 *   bare                  an SSL that is not told what it is, socket_bio the same by SSL_set_bio           do_step  SSL_do_handshake once
 *   verify_later_V        by SSL_set_retry_verify, then V              extension  of the program's own, engine, key
 *   copy (SSL_dup), dane, move (another number for the socket), write_ex2, keep, offer (its SSL_SESSION)
 *   ticking (signals until calm), unconnected, bound, connect_slowly, take, connected_stderr, said, broken_stderr, dissolve
 *   cancelled             the thread, at its next chance               at_exit  the rest while the program exits
 *   say C                 tells the test to go on                      thread  the rest in a thread of its own
 *   stale                 leaves an error of somebody else's behind
 *   hear                  says so, and waits until the test says to go on */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/wrapper/ssl_script.h"

enum { kBufferBytes = 8 << 20, kGate = 3 };

SSL_CTX* context;
SSL* ssl;
int tcp = -1;
static BIO* ssl_bio;
static char buffer[kBufferBytes];
static volatile sig_atomic_t pipe_signals;

static void count_signal(int number) {
  (void)number;
  ++pipe_signals;
}

static const char* error_name(int error) {
  static const char* const names[] = {"NONE",        "SSL",     "WANT_READ",   "WANT_WRITE",
                                      "WANT_LOOKUP", "SYSCALL", "ZERO_RETURN", "WANT_CONNECT"};
  return error >= 0 && error < (int)(sizeof names / sizeof *names) ? names[error] : "?";
}

/* How the last call ended: its value, SSL_get_error, errno if that is what it means, the whole queue, the shutdown flags. */
static void print_call(const char* name, long result) {
  const int system_error = errno;
  const int error = SSL_get_error(ssl, (int)result);
  printf("%s: %ld %s", name, result, error_name(error));
  if (error == SSL_ERROR_SYSCALL) printf(" %s", system_error != 0 ? strerrorname_np(system_error) : "0");
  unsigned long code = 0;
  while ((code = ERR_get_error()) != 0) {
    printf(" [%s%s]", ERR_GET_LIB(code) == ERR_LIB_SSL ? "" : "not OpenSSL's TLS: ", ERR_reason_error_string(code));
  }
  /* OpenSSL raises one when it tells a peer that has gone that it has gone. */
  if (pipe_signals > 0 && name[0] != 'r' && strncmp(name, "peek", 4) != 0) printf(" SIGPIPE");
  pipe_signals = 0;
  printf(" shutdown %d\n", SSL_get_shutdown(ssl));
}

static void print_data(const char* name, int result, size_t bytes) {
  print_call(name, result);
  if (result > 0) printf("  \"%.*s\"\n", (int)(bytes < 40 ? bytes : 40), buffer);
}

static void await(short events) {
  struct pollfd wanted = {.fd = tcp, .events = events};
  poll(&wanted, 1, -1);
  if (events == 0) printf("await_end: %s\n", (wanted.revents & (POLLHUP | POLLERR)) != 0 ? "ended" : "?");
}

static int is_wanting(int result) {
  const int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ) await(POLLIN);
  if (error == SSL_ERROR_WANT_WRITE) await(POLLOUT);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void shake_hands(const char* name, int (*handshake)(SSL*)) {
  int result = 0;
  do {
    result = handshake(ssl);
  } while (result <= 0 && is_wanting(result));
  print_call(name, result);
}

static void read_all(size_t bytes) {
  size_t done = 0;
  int result = 1;
  while (done < bytes && (result > 0 || is_wanting(result))) {
    result = SSL_read(ssl, buffer + done, (int)(bytes - done));
    if (result > 0) done += (size_t)result;
  }
  unsigned long sum = 0;
  for (size_t i = 0; i < done; ++i) sum = sum * 31 + (unsigned char)buffer[i];
  printf("all: %zu %lx\n", done, sum);
}

/* Data or the end, and not only a part of what comes before them. */
static void await_data(void) {
  char first = 0;
  int result = 0;
  do {
    result = SSL_peek(ssl, &first, 1);
  } while (result <= 0 && is_wanting(result));
}

static void write_all(size_t bytes) {
  size_t done = 0;
  int result = 1;
  while (done < bytes && (result > 0 || is_wanting(result))) {
    result = SSL_write(ssl, buffer + done, (int)(bytes - done));
    if (result > 0) done += (size_t)result;
  }
  printf("all_of: %zu\n", done);
}

static void make_ssl(void) {
  ssl = SSL_new(context);
  SSL_set_connect_state(ssl);
}

/* A BIO that is a socket's, but not by OpenSSL's method. */
static int own_read(BIO* bio, char* into, int bytes) {
  (void)bio;
  return (int)read(tcp, into, (size_t)bytes);
}
static int own_write(BIO* bio, const char* from, int bytes) {
  (void)bio;
  return (int)write(tcp, from, (size_t)bytes);
}
static long own_control(BIO* bio, int command, long number, void* pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static void set_own_bio(void) {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "own");
  BIO_meth_set_read(method, own_read);
  BIO_meth_set_write(method, own_write);
  BIO_meth_set_ctrl(method, own_control);
  BIO* const bio = BIO_new(method);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

static void use_ssl_bio(void) {
  ssl_bio = BIO_new(BIO_f_ssl());
  BIO_set_ssl(ssl_bio, ssl, BIO_NOCLOSE);
  printf("ssl_bio: %ld", BIO_do_handshake(ssl_bio));
  printf(" %d", BIO_write(ssl_bio, "asked", 5));
  const int got = BIO_read(ssl_bio, buffer, 100);
  printf(" %.*s\n", got > 0 ? got : 0, buffer);
}

static void export_key(void) {
  unsigned char key[16];
  const int result = SSL_export_keying_material(ssl, key, sizeof key, "EXPERIMENTAL-x", 14, NULL, 0, 0);
  printf("export: %d, finished %zu\n", result, SSL_get_finished(ssl, key, 0));
  ERR_clear_error();
}

/* The test may have gone. */
static void hear(void) {
  char letter = 0;
  printf("hear\n");
  if (read(STDIN_FILENO, &letter, 1) != 1) exit(3);
}

static void duplicate(void) {
  const int copy = dup(tcp);
  close(tcp);
  tcp = copy;
}

static void go_on_in_child(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) return;
  int status = 0;
  waitpid(child, &status, 0);
  exit(WEXITSTATUS(status));
}

static int do_transfer(const char* name, const char* value) {
  const int bytes = atoi(value);
  size_t done = 0;
  errno = 0;
  if (strcmp(name, "connect") == 0) return connect_to(value, 1), 1;
  if (strcmp(name, "connect_nonblock") == 0) return connect_to(value, 0), 1;
  if (strcmp(name, "again") == 0) return connect_again(value), 1;
  if (strcmp(name, "all") == 0) return read_all((size_t)bytes), 1;
  if (strcmp(name, "all_of") == 0) return write_all((size_t)bytes), 1;
  if (strcmp(name, "say") == 0) return write(kGate, value, 1) == 1;
  int result = 0;
  if (strcmp(name, "read") == 0) {
    result = SSL_read(ssl, buffer, bytes);
    return print_data(name, result, (size_t)(result > 0 ? result : 0)), 1;
  }
  if (strcmp(name, "peek") == 0) {
    result = SSL_peek(ssl, buffer, bytes);
    return print_data(name, result, (size_t)(result > 0 ? result : 0)), 1;
  }
  if (strcmp(name, "read_ex") == 0) {
    result = SSL_read_ex(ssl, buffer, (size_t)bytes, &done);
    return print_data(name, result, done), 1;
  }
  if (strcmp(name, "peek_ex") == 0) {
    result = SSL_peek_ex(ssl, buffer, (size_t)bytes, &done);
    return print_data(name, result, done), 1;
  }
  if (strcmp(name, "write") == 0) return print_call(name, SSL_write(ssl, buffer, bytes)), 1;
  if (strcmp(name, "moved") == 0) return print_call(name, SSL_write(ssl, buffer + kBufferBytes / 2, bytes)), 1;
  if (strcmp(name, "text") == 0) return print_call(name, SSL_write(ssl, value, (int)strlen(value))), 1;
  if (strcmp(name, "write_ex") == 0) {
    result = SSL_write_ex(ssl, buffer, (size_t)bytes, &done);
    print_call(name, result);
    return printf("  %zu\n", done), 1;
  }
  return 0;
}

static int do_plain(const char* name) {
  errno = 0;
  if (strcmp(name, "nonblock") == 0) return fcntl(tcp, F_SETFL, O_NONBLOCK), 1;
  if (strcmp(name, "block") == 0) return fcntl(tcp, F_SETFL, 0), 1;
  if (strcmp(name, "ssl") == 0) return make_ssl(), SSL_set_fd(ssl, tcp), 1;
  if (strcmp(name, "dup") == 0) return duplicate(), 1;
  if (strcmp(name, "ssl_2") == 0) return make_ssl(), SSL_set_rfd(ssl, tcp), SSL_set_wfd(ssl, tcp), 1;
  if (strcmp(name, "own_bio") == 0) return make_ssl(), set_own_bio(), 1;
  if (strcmp(name, "ssl_bio") == 0) return use_ssl_bio(), 1;
  if (strcmp(name, "verify") == 0) return SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL), 1;
  if (strcmp(name, "accept") == 0) return SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_all), 1;
  if (strcmp(name, "crl") == 0) return X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_CRL_CHECK), 1;
  if (strcmp(name, "is_shared") == 0) return print_shared(), 1;
  if (strcmp(name, "refuse") == 0) return SSL_set_verify(ssl, SSL_VERIFY_PEER, refuse_all), 1;
  if (strcmp(name, "quiet") == 0) return SSL_set_quiet_shutdown(ssl, 1), 1;
  if (strcmp(name, "ignore_eof") == 0) return SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF), 1;
  if (strcmp(name, "handshake") == 0) return shake_hands(name, SSL_connect), 1;
  if (strcmp(name, "do_handshake") == 0) return shake_hands(name, SSL_do_handshake), 1;
  if (strcmp(name, "do_step") == 0) return print_call(name, SSL_do_handshake(ssl)), 1;
  if (strcmp(name, "step") == 0) return print_call(name, SSL_connect(ssl)), 1;
  if (strcmp(name, "zero") == 0) return print_call(name, SSL_write(ssl, buffer, 0)), 1;
  if (strcmp(name, "negative") == 0) return print_call(name, SSL_read(ssl, buffer, -1)), 1;
  if (strcmp(name, "pending") == 0) return printf("pending: %d %d\n", SSL_pending(ssl), SSL_has_pending(ssl)), 1;
  if (strcmp(name, "want") == 0) return printf("want: %d\n", SSL_want(ssl)), 1;
  if (strcmp(name, "shutdown") == 0) return print_call(name, SSL_shutdown(ssl)), 1;
  if (strcmp(name, "facts") == 0) return print_facts(), 1;
  if (strcmp(name, "session") == 0) return print_session(), 1;
  if (strcmp(name, "peer") == 0) return print_peer(), 1;
  if (strcmp(name, "export") == 0) return export_key(), 1;
  if (strcmp(name, "renegotiate") == 0) return print_call(name, SSL_renegotiate(ssl)), 1;
  if (strcmp(name, "key_update") == 0) return print_call(name, SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)), 1;
  if (strcmp(name, "sendfile") == 0) return print_call(name, SSL_sendfile(ssl, 0, 0, 10, 0)), 1;
  if (strcmp(name, "clear") == 0) return printf("clear: %d\n", SSL_clear(ssl)), close(tcp), 1;
  if (strcmp(name, "renew") == 0) return SSL_set_connect_state(ssl), close(tcp), 1;
  if (strcmp(name, "attach") == 0) return SSL_set_fd(ssl, tcp), 1;
  if (strcmp(name, "free") == 0) return SSL_free(ssl), close(tcp), 1;
  if (strcmp(name, "await") == 0) return await(POLLIN), 1;
  if (strcmp(name, "await_data") == 0) return await_data(), 1;
  if (strcmp(name, "await_out") == 0) return await(POLLOUT), 1;
  if (strcmp(name, "await_end") == 0) return await(0), 1;
  if (strcmp(name, "hear") == 0) return hear(), 1;
  if (strcmp(name, "stale") == 0) return ERR_raise(ERR_LIB_USER, ERR_R_PASSED_NULL_PARAMETER), 1;
  if (strcmp(name, "fork") == 0) return go_on_in_child(), 1;
  return 0;
}

static char** at_exit;
static void* do_all(void* from);
static void do_rest(void) { do_all(at_exit); }

static void* do_all(void* from) {
  for (char** at = from; *at != NULL; ++at) {
    if (strcmp(*at, "thread") == 0) {
      pthread_t thread;
      pthread_create(&thread, NULL, do_all, at + 1);
      void* result = NULL;
      pthread_join(thread, &result);
      if (result == PTHREAD_CANCELED) printf("cancelled\n");
      break;
    }
    if (strcmp(*at, "at_exit") == 0) {
      at_exit = at + 1;
      break;
    }
    if (do_edge(*at) || do_plain(*at)) continue;
    if (strcmp(*at, "connect_from") == 0) {
      connect_from(at[1], at[2], at[3]);
      at += 3;
      continue;
    }
    if (at[1] == NULL || (!do_setting(at[0], at[1]) && !do_transfer(at[0], at[1]))) {
      printf("what is %s?\n", *at);
      exit(2);
    }
    ++at;
  }
  return NULL;
}

int main(int count, char** arguments) {
  (void)count;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const struct sigaction counting = {.sa_handler = count_signal};
  sigaction(SIGPIPE, &counting, NULL);
  for (int i = 0; i < kBufferBytes; ++i) buffer[i] = (char)('a' + i % 26);
  context = SSL_CTX_new(TLS_client_method());
  /* Before anything of the wrapper's own is there that could be destroyed: what is registered first is done last. */
  static char* none;
  at_exit = &none;
  atexit(do_rest);
  do_all(arguments + 1);
  return 0;
}
