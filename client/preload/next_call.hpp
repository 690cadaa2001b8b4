#pragma once

// The functions that this library stands in front of, as the next library has them: the C library, or another one that
// was preloaded.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

namespace tlsmux::preload {

template <typename Function>
class NextCall {
 public:
  constexpr explicit NextCall(const char* name) : name_(name) {}

  template <typename... Arguments>
  int operator()(Arguments... arguments) {
    return find()(arguments...);
  }
  // Other libraries' constructors may call before this one's does: then it is looked up by the first call.
  Function find() {
    auto found = function_.load(std::memory_order_relaxed);
    if (found == nullptr) {
      found = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name_));
      function_.store(found, std::memory_order_relaxed);
    }
    return found;
  }

 private:
  const char* name_;
  std::atomic<Function> function_ = nullptr;
};

struct NextCalls {
  NextCall<int (*)(int, const sockaddr*, socklen_t)> bind{"bind"};
  NextCall<int (*)(int, const sockaddr*, socklen_t)> connect{"connect"};
  NextCall<int (*)(int, int)> listen{"listen"};
  NextCall<int (*)(int)> close{"close"};
  NextCall<int (*)(int)> dup{"dup"};
  NextCall<int (*)(int, int)> dup2{"dup2"};
  NextCall<int (*)(int, int, int)> dup3{"dup3"};
  NextCall<int (*)(int, int, void*)> fcntl{"fcntl"};
  NextCall<int (*)(int, int, void*)> fcntl64{"fcntl64"};
};

extern constinit NextCalls next;

}  // namespace tlsmux::preload
