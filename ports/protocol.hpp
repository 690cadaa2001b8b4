#pragma once

// TCP and UDP: each has its own 65,535 ports.

#include <array>
#include <cstdint>
#include <string_view>

#include "config/config.hpp"
#include "shm/layout.hpp"

namespace tlsmux::ports {

enum class Protocol : std::uint8_t { tcp = 0, udp = 1 };

inline constexpr std::array kProtocols{Protocol::tcp, Protocol::udp};

constexpr std::size_t index_of(Protocol protocol) { return static_cast<std::size_t>(protocol); }
constexpr std::string_view name(Protocol protocol) { return protocol == Protocol::tcp ? "tcp" : "udp"; }

// As in the tables and messages.
constexpr std::uint32_t bit_of(Protocol protocol) { return protocol == Protocol::tcp ? shm::kPortTcp : shm::kPortUdp; }
constexpr std::uint32_t bits_of(config::PortProtocols protocols) {
  switch (protocols) {
    case config::PortProtocols::tcp: return shm::kPortTcp;
    case config::PortProtocols::udp: return shm::kPortUdp;
    case config::PortProtocols::both: break;
  }
  return shm::kPortTcp | shm::kPortUdp;
}
constexpr bool includes(config::PortProtocols protocols, Protocol protocol) {
  return (bits_of(protocols) & bit_of(protocol)) != 0;
}

// One port. Ordered by protocol, then number.
struct Port {
  Protocol protocol{};
  std::uint16_t number = 0;

  friend constexpr auto operator<=>(const Port&, const Port&) = default;
};

}  // namespace tlsmux::ports
