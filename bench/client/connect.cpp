#include "bench/client/connect.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <stdexcept>

#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

[[noreturn]] void fail(const std::string& target) {
  throw std::runtime_error(shm::last_error("connecting to " + target).message);
}

constexpr int kTries = 1000;
constexpr int kTryMs = 10;

shm::UniqueFd connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  for (int tries = 1;; ++tries) {
    shm::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return socket;
    }
    if (tries == kTries || (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN)) fail(path);
    ::poll(nullptr, 0, kTryMs);
  }
}

}  // namespace

shm::UniqueFd connect_to(const std::string& target) {
  if (target.starts_with('/')) return connect_unix(target);
  const auto colon = target.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(target.substr(colon + 1))));
  if (::inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an address: " + target);
  }
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!socket || ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail(target);
  }
  return socket;
}

}  // namespace tlsmux::bench
