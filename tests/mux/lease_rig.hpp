#pragma once

// A MuxRig whose upstream leases its sessions to streams.

#include <string>
#include <string_view>

#include "tests/mux/mux_rig.hpp"

namespace tlsmux::test {

inline config::Config lease_config(std::uint32_t sessions, std::uint32_t sessions_max = 0,
                                   config::FramingKind framing = config::FramingKind::length) {
  auto config = fifo_config();
  auto& upstream = config.upstreams[0];
  upstream.sessions = sessions;
  upstream.sessions_max = sessions_max;
  upstream.framing.kind = framing;
  upstream.backoff = {.initial_ms = 100, .max_ms = 1'600, .jitter_percent = 0};
  upstream.streams.kind = config::StreamKind::leased;
  return config;
}

// As MuxRig's hosts frame their messages.
inline std::string frame(std::string_view message) {
  return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())} + std::string(message);
}

inline void say_text(MuxRig& rig, std::size_t session, std::string_view text) { rig.say_raw(session, to_bytes(text)); }

}  // namespace tlsmux::test
