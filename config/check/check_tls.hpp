#pragma once

// The rules for the TLS settings of one upstream: between each other, and which names are known.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is that of the settings.
void check_tls(const TlsSettings& tls, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
