#pragma once

#include <cstdint>
#include <expected>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/tls/tls_material.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

// Reads the files that the TLS settings of one upstream name, and opens its key log. The broker opens them: the engine's
// user need not be able to. Errors name the file.
std::expected<tls::TlsMaterial, shm::SystemError> read_tls_files(broker::BrokerClient& broker,
                                                                 const config::TlsSettings& settings,
                                                                 broker::ConfigPlace upstream);

}  // namespace tlsmux::engine
