#pragma once

// The rules for libtlsmux_ssl: each says something, about an upstream that there is, and can be reached.

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

void check_ssl_wrapper(const Config& config, Findings& findings);

}  // namespace tlsmux::config
