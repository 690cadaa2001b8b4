#pragma once

#include "config/config.hpp"

namespace tlsmux::config {

// Each session of the upstream belongs to one stream at a time; then there are no requests to it. With framing `http1`
// and `none` it is always so, since the engine knows no messages.
inline bool leases_sessions(const UpstreamSettings& settings) {
  return settings.streams.kind == StreamKind::leased || !cuts_messages(settings.framing.kind);
}

}  // namespace tlsmux::config
