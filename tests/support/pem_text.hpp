#pragma once

namespace tlsmux::test {

// As much of a certificate as a check of the configuration looks at.
inline constexpr const char* kPemText = "-----BEGIN CERTIFICATE-----\n";

}  // namespace tlsmux::test
