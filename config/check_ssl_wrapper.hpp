#pragma once

// The rules for libtlsmux_ssl: each says something, about an upstream that there is, and can be reached.

#include "config/config.hpp"
#include "config/findings.hpp"

namespace tlsmux::config {

void check_ssl_wrapper(const Config& config, Findings& findings);

}  // namespace tlsmux::config
