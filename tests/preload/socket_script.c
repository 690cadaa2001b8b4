/* Socket calls as its arguments say, in turn, on sockets that are numbered as they come; prints one line for each: what
 * it came to. For tests of libtlsmux_ports.so, of which it knows nothing.
 *
 *   tcp, udp, tcp6, unix   a new socket                 bind N PORT   to the loopback (any, for tcp6)
 *   listen N, close N, port N                           connect N PORT
 *   dup N, dupfd N         a new number for the copy    dup2 N M, dup3 N M
 *   reuseport N            sets the option              fork          goes on in a child, and prints its exit code
 *   vfork N                a child closes N and ends    wait          for a line of standard input
 *   reuses N               whether it has SO_REUSEADDR  cancel N PORT binds in a thread that is being cancelled */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int sockets[32];
static int count;

static void print_result(const char* what, int result) {
  if (result < 0) {
    printf("%s: %s\n", what, strerrorname_np(errno));
  } else {
    printf("%s: ok\n", what);
  }
  fflush(stdout);
}

static int add(int socket) {
  if (socket >= 0) sockets[count++] = socket;
  return socket;
}

static int bind_unix(int socket) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  /* Only the family: the kernel picks an abstract name. */
  return bind(socket, (struct sockaddr*)&address, offsetof(struct sockaddr_un, sun_path));
}

static int with_address(int socket, int port, int is_connect) {
  int family = 0;
  socklen_t length = sizeof family;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) return -1;
  if (family == AF_UNIX) return bind_unix(socket);
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  const struct sockaddr* address = family == AF_INET ? (struct sockaddr*)&v4 : (struct sockaddr*)&v6;
  const socklen_t bytes = family == AF_INET ? sizeof v4 : sizeof v6;
  return is_connect ? connect(socket, address, bytes) : bind(socket, address, bytes);
}

static void print_port(int socket) {
  struct sockaddr_in6 address = {0};
  socklen_t length = sizeof address;
  if (getsockname(socket, (struct sockaddr*)&address, &length) != 0) {
    print_result("port", -1);
    return;
  }
  printf("port: %d\n", ntohs(address.sin6_port));
  fflush(stdout);
}

static int set_reuse_port(int socket) {
  const int on = 1;
  return setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

static void print_reuse_address(int socket) {
  int value = 0;
  socklen_t length = sizeof value;
  getsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &value, &length);
  printf("reuses: %s\n", value != 0 ? "yes" : "no");
  fflush(stdout);
}

struct cancelled_bind {
  int socket;
  int port;
  int result;
  int error;
};

/* bind is no cancellation point: it is done, and the thread goes on. */
static void* bind_cancelled(void* argument) {
  struct cancelled_bind* what = argument;
  pthread_cancel(pthread_self());
  what->result = with_address(what->socket, what->port, 0);
  what->error = errno;
  return what;
}

static int bind_in_cancelled_thread(int socket, int port) {
  struct cancelled_bind what = {.socket = socket, .port = port};
  pthread_t thread;
  void* end = NULL;
  if (pthread_create(&thread, NULL, bind_cancelled, &what) != 0 || pthread_join(thread, &end) != 0) return -1;
  errno = end == PTHREAD_CANCELED ? ECANCELED : what.error;
  return end == PTHREAD_CANCELED ? -1 : what.result;
}

static void go_on_in_child(void) {
  const pid_t child = fork();
  if (child == 0) return;
  int status = 0;
  waitpid(child, &status, 0);
  printf("child: %d\n", WEXITSTATUS(status));
  exit(0);
}

/* NOLINTBEGIN(*-unsafe-functions,*insecureAPI.vfork,*-unix.Vfork): the library must bear it */
static int close_in_vfork(int socket) {
  const pid_t child = vfork();
  if (child == 0) {
    close(socket);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? 0 : -1;
}
/* NOLINTEND(*-unsafe-functions,*insecureAPI.vfork,*-unix.Vfork) */

static int wait_for_line(void) {
  char line[16];
  return fgets(line, sizeof line, stdin) != NULL ? 0 : -1;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const char* what = argv[i];
    const int is_new = strcmp(what, "tcp") == 0 || strcmp(what, "udp") == 0 || strcmp(what, "tcp6") == 0 ||
                       strcmp(what, "unix") == 0 || strcmp(what, "fork") == 0 || strcmp(what, "wait") == 0;
    const int first = !is_new && i + 1 < argc ? sockets[atoi(argv[++i]) % 32] : -1;
    if (strcmp(what, "tcp") == 0) print_result(what, add(socket(AF_INET, SOCK_STREAM, 0)));
    if (strcmp(what, "udp") == 0) print_result(what, add(socket(AF_INET, SOCK_DGRAM, 0)));
    if (strcmp(what, "tcp6") == 0) print_result(what, add(socket(AF_INET6, SOCK_STREAM, 0)));
    if (strcmp(what, "unix") == 0) print_result(what, add(socket(AF_UNIX, SOCK_STREAM, 0)));
    if (strcmp(what, "bind") == 0) print_result(what, with_address(first, atoi(argv[++i]), 0));
    if (strcmp(what, "connect") == 0) print_result(what, with_address(first, atoi(argv[++i]), 1));
    if (strcmp(what, "listen") == 0) print_result(what, listen(first, 4));
    if (strcmp(what, "close") == 0) print_result(what, close(first));
    if (strcmp(what, "port") == 0) print_port(first);
    if (strcmp(what, "reuses") == 0) print_reuse_address(first);
    if (strcmp(what, "cancel") == 0) print_result(what, bind_in_cancelled_thread(first, atoi(argv[++i])));
    if (strcmp(what, "dup") == 0) print_result(what, add(dup(first)));
    if (strcmp(what, "dupfd") == 0) print_result(what, add(fcntl(first, F_DUPFD_CLOEXEC, 20)));
    if (strcmp(what, "dup2") == 0) print_result(what, dup2(first, sockets[atoi(argv[++i]) % 32]));
    if (strcmp(what, "dup3") == 0) print_result(what, dup3(first, sockets[atoi(argv[++i]) % 32], O_CLOEXEC));
    if (strcmp(what, "reuseport") == 0) print_result(what, set_reuse_port(first));
    if (strcmp(what, "fork") == 0) go_on_in_child();
    if (strcmp(what, "vfork") == 0) print_result(what, close_in_vfork(first));
    if (strcmp(what, "wait") == 0) print_result(what, wait_for_line());
  }
  return 0;
}
