#pragma once

// connect and getpeername of the C library, or of another library that was preloaded.

#include "client/preload/next_call.hpp"

namespace tlsmux::wrapper {

struct NextSocketCalls {
  preload::NextCall<int (*)(int, const sockaddr*, socklen_t)> connect{"connect"};
  preload::NextCall<int (*)(int, sockaddr*, socklen_t*)> getpeername{"getpeername"};
};

extern constinit NextSocketCalls next;

}  // namespace tlsmux::wrapper
