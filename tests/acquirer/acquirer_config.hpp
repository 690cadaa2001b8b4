#pragma once

// Settings for an engine before an acquirer that speaks ISO 8583:1987 in ASCII.

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

// As engine_config; answers are told by terminal and trace number, network management by trace number alone.
config::Config acquirer_config(const TemporaryFolder& folder, const std::vector<std::uint16_t>& ports);

// 0800 with this field 70, which must be answered with field 39 = 00.
config::MessageSettings network_message(const std::string& code);
// Sign-on and sign-off.
void set_sign_on(config::UpstreamSettings& upstream, config::SignOnScope scope);
void set_echo_test(config::UpstreamSettings& upstream, std::uint32_t idle_ms, std::uint32_t interval_min_ms);

}  // namespace tlsmux::test
