// connect and getpeername of the C library.

#include <algorithm>
#include <cstring>

#include "client/wrapper/interposed.hpp"
#include "client/wrapper/next_socket_calls.hpp"

using namespace tlsmux::wrapper;

namespace {

[[gnu::constructor]] void on_load() { prepare(); }

// As much as there is room for, and how much there is, as the kernel does it.
void give(const tlsmux::client::InetAddress& address, sockaddr* to, socklen_t* length, socklen_t room) {
  std::memcpy(to, address.data(), std::min(room, address.length()));
  *length = address.length();
}

// The kernel takes it for the wish to be connected no more, whatever its length.
bool is_dissolving(const sockaddr* address, socklen_t length) {
  sa_family_t family = AF_INET;
  if (address != nullptr && length >= sizeof family) std::memcpy(&family, address, sizeof family);
  return family == AF_UNSPEC;
}

}  // namespace

TLSMUX_INTERPOSED int connect(int socket, const sockaddr* address, socklen_t length) {
  const int error = errno;
  if (is_dissolving(address, length)) redirected_sockets().remove(socket);
  const auto done =
      carefully<std::optional<int>>(std::nullopt, [&] { return connect_redirected(socket, address, length); });
  errno = error;
  if (!done) return next.connect(socket, address, length);
  if (*done == 0) return 0;
  errno = *done;
  return -1;
}

TLSMUX_INTERPOSED int getpeername(int socket, sockaddr* address, socklen_t* length) noexcept {
  const socklen_t room = length != nullptr ? *length : 0;
  const int result = next.getpeername(socket, address, length);
  if (result != 0) return result;
  if (const auto redirection = redirected_sockets().find(socket)) {
    give(redirection->original, address, length, room);
  }
  return 0;
}
