// Ports of a service for C++23; the contracts of the functions are those of ports.h. Nothing here throws.
#pragma once

#include <tlsmux/ports.h>

#include <cerrno>
#include <cstdint>
#include <tlsmux/tlsmux.hpp>
#include <utility>

namespace tlsmux {

// A port that was claimed for a socket that others bind. Given back by its destructor: keep it for as long as the socket is
// in use. The client outlives it. One thread at a time. One that was moved from holds nothing.
class ClaimedPort {
 public:
  // `protocol` is "tcp" or "udp", and is not copied: a literal. Errors: those of tmx_client_claim_port.
  static Result<ClaimedPort> claim(const Client& client, const char* protocol, const char* port_type = "dynamic") {
    std::uint16_t number = 0;
    if (const int error = tmx_client_claim_port(client.get(), protocol, port_type, &number); error < 0) {
      return std::unexpected(Error{error});
    }
    return ClaimedPort(client.get(), protocol, number);
  }

  ClaimedPort(ClaimedPort&& other) noexcept
      : client_(std::exchange(other.client_, nullptr)), protocol_(other.protocol_), number_(other.number_) {}
  ClaimedPort& operator=(ClaimedPort&& other) noexcept {
    std::swap(client_, other.client_);
    std::swap(protocol_, other.protocol_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~ClaimedPort() { give_back(0); }

  [[nodiscard]] std::uint16_t number() const { return number_; }
  // bind said EADDRINUSE: somebody has it who never claimed it.
  void is_in_use() { give_back(1); }

 private:
  ClaimedPort(tmx_client* client, const char* protocol, std::uint16_t number)
      : client_(client), protocol_(protocol), number_(number) {}
  void give_back(int in_use) {
    if (client_ != nullptr) tmx_client_release_port(std::exchange(client_, nullptr), protocol_, number_, in_use);
  }

  tmx_client* client_ = nullptr;
  const char* protocol_ = nullptr;
  std::uint16_t number_ = 0;
};

// Binds the socket to a port of the service; `address` is a sockaddr_in or sockaddr_in6, and receives the port. Errors are
// negative errnos, here as below.
template <typename Address>
Result<void> bind_service(int socket, Address& address, const char* port_type = "dynamic",
                          const char* service = nullptr) {
  const int bound = tmx_bind_service(socket, reinterpret_cast<sockaddr*>(&address), sizeof address, service, port_type);
  return detail::to_result(bound < 0 ? -errno : 0);
}

template <typename Address>
Result<void> bind_service(const Client& client, int socket, Address& address, const char* port_type = "dynamic") {
  return detail::to_result(
      tmx_client_bind(client.get(), socket, reinterpret_cast<sockaddr*>(&address), sizeof address, port_type));
}

inline Result<void> release_service(int socket, const char* service = nullptr) {
  return detail::to_result(tmx_release_service(socket, service) < 0 ? -errno : 0);
}

// `protocol` is "tcp" or "udp".
inline Result<std::uint16_t> find_service_port(const char* label, const char* protocol, const char* service = nullptr) {
  std::uint16_t port = 0;
  if (tmx_find_service_port(service, label, protocol, &port) < 0) return std::unexpected(Error{-errno});
  return port;
}

}  // namespace tlsmux
