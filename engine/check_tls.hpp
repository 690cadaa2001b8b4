#pragma once

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::engine {

struct TlsFindings {
  config::ConfigErrors errors;    // what an engine would refuse, such as a key that is another certificate's
  config::ConfigErrors warnings;  // what it would take, and hosts not, such as a certificate of ours that has expired
};

// What is in the files that the TLS settings name: read as who calls this, and parsed as an engine does. Key logs are left
// alone. Blocks on the file system.
TlsFindings check_tls(const config::Config& config);

}  // namespace tlsmux::engine
