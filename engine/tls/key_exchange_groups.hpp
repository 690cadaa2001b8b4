#pragma once

// Groups for the ephemeral key exchange, by the names of the IANA registry.

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace tlsmux::engine::tls {

// The numbers of the named groups in their order, ended by 0 as mbedTLS wants it; of all that are supported, best
// first, if there are no names. The error is a name that is not supported.
std::expected<std::vector<std::uint16_t>, std::string> group_numbers(std::span<const std::string> names);

}  // namespace tlsmux::engine::tls
