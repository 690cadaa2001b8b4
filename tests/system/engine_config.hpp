#pragma once

// Settings for an engine under test, and their JSON.

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

// One group with a name of its own and the present user in it; a control socket in `folder`; an upstream "acquirer"
// with one session to 127.0.0.1 at these ports, which trusts ca.pem. Time-outs are long, pauses are short.
config::Config engine_config(const TemporaryFolder& folder, const std::vector<std::uint16_t>& ports);

// Correlation by the first 16 bytes.
void set_keyed(config::UpstreamSettings& upstream);
// Messages up to what a length of 2 bytes can tell, and slots for them.
void set_large_messages(config::Config& config);

std::string config_text(const config::Config& config);

}  // namespace tlsmux::test
