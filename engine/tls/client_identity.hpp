#pragma once

// Whom a client trusts and who it is, as one number: what decides whether sessions of an earlier client may be resumed.

#include <array>
#include <cstdint>

#include "config/config.hpp"
#include "engine/tls/tls_material.hpp"

namespace tlsmux::engine::tls {

using ClientIdentity = std::array<std::uint8_t, 32>;

// Equal only for equal settings and equal files, whatever their names. Of the key, that is in its certificate.
ClientIdentity client_identity(const config::TlsSettings& settings, const TlsMaterial& material);

}  // namespace tlsmux::engine::tls
