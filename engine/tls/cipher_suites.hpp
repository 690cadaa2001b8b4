#pragma once

// Suites by IANA name and number: ephemeral ECDH with an AEAD, nothing else.

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace tlsmux::engine::tls {

// The numbers of the named suites in their order, ended by 0 as mbedTLS wants it; of all that are supported, best
// first, if there are no names. The error is a name that is not supported.
std::expected<std::vector<int>, std::string> suite_numbers(std::span<const std::string> names);

// The IANA name, also of a suite that is not supported if mbedTLS knows it; else the number in hexadecimal.
std::string cipher_suite_name(int suite);

}  // namespace tlsmux::engine::tls
