#pragma once

#include <cstdint>
#include <expected>
#include <functional>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/tls/tls_material.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

// As BrokerClient::open_file(), for one upstream.
using OpenTlsFile =
    std::function<std::expected<shm::UniqueFd, shm::SystemError>(broker::FileKind file, std::uint32_t entry)>;

std::expected<tls::TlsMaterial, shm::SystemError> read_tls_files(const OpenTlsFile& open,
                                                                 const config::TlsSettings& settings);

// Reads the files that the TLS settings of one upstream name, and opens its key log. The broker opens them: the engine's
// user need not be able to. Errors name the file.
std::expected<tls::TlsMaterial, shm::SystemError> read_tls_files(broker::BrokerClient& broker,
                                                                 const config::TlsSettings& settings,
                                                                 broker::ConfigPlace upstream);

}  // namespace tlsmux::engine
