// What our records and mbedTLS's make of the same stream.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tlsmux::test {

// Any bytes make a case: the first chooses the suite and how the stream is cut, the rest is a list of what an odd host
// sends. Opens it with RecordLayer, which must give exactly what was sealed up to the first fault, and with
// mbedtls_ssl_read(), which must give the same where both know the rule. Returns what differs, or nothing.
std::string check_record_case(std::span<const std::uint8_t> data);

}  // namespace tlsmux::test
