#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tlsmux::engine::mux {

enum class AddressFamily : std::uint8_t { ipv4, ipv6 };

// Where a host listens, as a plain value. engine/io makes a sockaddr of it.
struct Address {
  AddressFamily family = AddressFamily::ipv4;
  std::uint16_t port = 0;
  std::array<std::byte, 16> bytes{};  // in network order; IPv4 uses the first four, the rest is zero
  std::uint32_t scope = 0;            // of a link-local IPv6 address: the interface's number; else 0

  // "127.0.0.1:9001", "[::1]:9001", "[fe80::1%2]:9001".
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Address&, const Address&) = default;
};

// Reads a literal such as "127.0.0.1" or "::1", without brackets. Nothing if it is none, so that `host` is a name, or
// an address with an interface ("fe80::1%eth0"), which only the system's resolver can read.
std::optional<Address> parse_literal(std::string_view host, std::uint16_t port);

}  // namespace tlsmux::engine::mux
