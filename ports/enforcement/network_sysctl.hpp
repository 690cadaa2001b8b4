#pragma once

// Settings below /proc/sys/net of the network namespace that the calling thread is in.

#include <expected>
#include <string>

#include "shm/system/system_error.hpp"

namespace tlsmux::ports {

// "net/ipv4/ip_local_port_range", as the kernel writes it. A long list comes in one read or not at all.
std::expected<std::string, shm::SystemError> read_network_sysctl(const std::string& name);

// "/proc/sys/net/ipv4/ip_local_port_range" of that.
std::string network_sysctl_path(const std::string& name);
// "net.ipv4.ip_local_port_range": what people call it.
std::string network_sysctl_word(const std::string& name);

}  // namespace tlsmux::ports
