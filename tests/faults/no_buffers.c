// Preloaded into tlsmuxd: the process whose pid the file named by TLSMUX_NO_BUFFERS holds is told ENOBUFS by the calls below,
// as a kernel without memory for sockets does. It holds 0 for nobody, and may change at any time. What io_uring does passes by
// here: its completions are tests/engine's and tests/mux's.

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic(int32_t) nobody;
static _Atomic(int32_t)* unlucky = &nobody;
static int (*real_socket)(int, int, int);
static int (*real_accept4)(int, __SOCKADDR_ARG, socklen_t*, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr*, int);

__attribute__((constructor)) static void begin(void) {
  *(void**)&real_socket = dlsym(RTLD_NEXT, "socket");
  *(void**)&real_accept4 = dlsym(RTLD_NEXT, "accept4");
  *(void**)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
  const char* path = getenv("TLSMUX_NO_BUFFERS");
  const int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* map = mmap(NULL, sizeof nobody, PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) unlucky = map;
  close(file);
}

static bool has_none(void) {
  const int32_t pid = atomic_load_explicit(unlucky, memory_order_relaxed);
  if (pid == 0 || pid != getpid()) return false;
  errno = ENOBUFS;
  return true;
}

int socket(int domain, int type, int protocol) { return has_none() ? -1 : real_socket(domain, type, protocol); }

int accept4(int socket, __SOCKADDR_ARG address, socklen_t* bytes, int flags) {
  return has_none() ? -1 : real_accept4(socket, address, bytes, flags);
}

ssize_t sendmsg(int socket, const struct msghdr* message, int flags) {
  return has_none() ? -1 : real_sendmsg(socket, message, flags);
}
