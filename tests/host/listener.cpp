#include "tests/host/listener.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace tlsmux::host {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

std::optional<AddressList> resolve(std::string_view address) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size()) return std::nullopt;
  std::string host(address.substr(0, colon));
  const std::string port(address.substr(colon + 1));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (host.empty() || ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list) != 0) return std::nullopt;
  return AddressList(list, &freeaddrinfo);
}

using GetName = int (*)(int, sockaddr*, socklen_t*);

std::string address_text(int socket, GetName get_name) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  std::array<char, NI_MAXHOST> host;
  std::array<char, NI_MAXSERV> port;
  if (get_name(socket, address, &size) != 0 || ::getnameinfo(address, size, host.data(), host.size(), port.data(),
                                                             port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  const bool v6 = storage.ss_family == AF_INET6;
  return (v6 ? "[" : "") + std::string(host.data()) + (v6 ? "]:" : ":") + port.data();
}

}  // namespace

std::expected<Listener, std::string> listen_on(const std::string& address) {
  const auto list = resolve(address);
  if (!list) return std::unexpected("--listen " + address + ": not a numeric ADDRESS:PORT");
  const addrinfo& first = **list;
  shm::UniqueFd socket(::socket(first.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(socket.get(), first.ai_addr, first.ai_addrlen) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
    return std::unexpected("cannot listen on " + address + ": " + std::strerror(errno));
  }
  std::string bound = address_text(socket.get(), ::getsockname);
  return Listener{std::move(socket), std::move(bound)};
}

std::string peer_address(int socket) { return address_text(socket, ::getpeername); }

}  // namespace tlsmux::host
