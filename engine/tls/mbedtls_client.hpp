#pragma once

#include <expected>
#include <memory>

#include "config/config.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_material.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

// A client whose handshakes are mbedTLS's. `library` must outlive it and its sessions; `settings` and
// `material` are not needed afterwards. Sessions may outlive the client.
//
// `earlier`, if any, is a client of this function's that the new one takes the place of. Its sessions stay as they are,
// also when it is gone. Its tickets serve the new client too if settings and files are the same; else nothing that the
// earlier one agreed on with a host is resumed by the new one.
//
// Fails if a file cannot be used (its name and what is wrong are in the words), if a setting names what is not
// supported, or if the peer is to be verified and there is no CA. Costs some milliseconds for a large CA bundle, and as
// much as its author wished for an encrypted key.
//
// Neither it nor its sessions do a system call, but for two that mbedTLS makes in handshakes: time(2), for certificates
// and tickets, and now and then getrandom(2), see TlsLibrary.
std::expected<std::unique_ptr<TlsClient>, TlsError> make_mbedtls_client(TlsLibrary& library,
                                                                        const config::TlsSettings& settings,
                                                                        const TlsMaterial& material,
                                                                        const TlsClient* earlier = nullptr);

}  // namespace tlsmux::engine::tls
