// Another library for LD_PRELOAD, which stands in front of the same calls and says so on standard error.
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

extern "C" int bind(int socket, const sockaddr* address, socklen_t length) noexcept {
  const auto next = reinterpret_cast<int (*)(int, const sockaddr*, socklen_t)>(::dlsym(RTLD_NEXT, "bind"));
  ::dprintf(STDERR_FILENO, "other bind\n");
  return next(socket, address, length);
}

extern "C" int close(int descriptor) {
  const auto next = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "close"));
  return next(descriptor);
}
