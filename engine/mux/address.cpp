#include "engine/mux/address.hpp"

#include <arpa/inet.h>

namespace tlsmux::engine::mux {

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> digits{};
  const int family_number = family == AddressFamily::ipv4 ? AF_INET : AF_INET6;
  ::inet_ntop(family_number, bytes.data(), digits.data(), digits.size());
  std::string host(digits.data());
  if (scope != 0) host += "%" + std::to_string(scope);
  if (family == AddressFamily::ipv6) host = "[" + host + "]";
  return host + ":" + std::to_string(port);
}

std::optional<Address> parse_literal(std::string_view host, std::uint16_t port) {
  const std::string terminated(host);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  Address address{.port = port};
  if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return address;
  address.family = AddressFamily::ipv6;
  if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

}  // namespace tlsmux::engine::mux
