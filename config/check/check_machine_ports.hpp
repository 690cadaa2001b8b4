#pragma once

// The groups' ports against the kernel's settings in this network namespace.

#include <cstdint>
#include <expected>
#include <string>

#include "config/check/check_ports.hpp"
#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// Ports that the kernel gives to whoever asks for any: net.ipv4.ip_local_port_range, both ends included, without
// net.ipv4.ip_local_reserved_ports. For IPv4 and IPv6, TCP and UDP alike.
struct KernelPorts {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
  PortBits reserved;
};

// Reads both settings out of `folder`, by default those of the caller's network namespace. An error in words.
std::expected<KernelPorts, std::string> read_kernel_ports(const std::string& folder = "/proc/sys/net/ipv4");

// Ports that are the kernel's to give out are no group's, unless the group has them reserved.
void check_machine_ports(const Config& config, const KernelPorts& kernel, Findings& findings);

}  // namespace tlsmux::config
