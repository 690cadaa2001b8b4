#pragma once

// The engine's own TLS in a world that has it: its sessions as they are, with notes of what they seal.

#include <memory>

#include "engine/tls/tls_session.hpp"
#include "tests/simulation/context.hpp"

namespace tlsmux::simulation {

// Knows the hosts of RealHosts.
std::unique_ptr<engine::tls::TlsClient> make_real_client(Context& context);

}  // namespace tlsmux::simulation
