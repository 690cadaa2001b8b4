#pragma once

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::engine {

// What an engine would refuse in the content of the files that the TLS settings name, such as a key that is another
// certificate's: read as who calls this, and parsed as an engine does. Key logs are left alone. Blocks on the file
// system.
config::ConfigErrors check_tls(const config::Config& config);

}  // namespace tlsmux::engine
