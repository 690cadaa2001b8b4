#pragma once

// What goes wrong in a run, and how often.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

enum class Fault : std::uint8_t {
  // The network.
  partial_io,  // a read or write that moves less than it could
  connect_refused,
  connect_hangs,
  reset,      // of a connection, both directions
  half_open,  // the peer is gone without a word: what is written vanishes, nothing comes, and some day a reset or a timeout
  small_window,   // a connection whose kernel buffer is a few bytes
  endpoint_goes,  // all of an endpoint's connections are lost, and new ones refused, until it is back
  // Names and handshakes.
  lookup_fails,
  lookup_hangs,
  handshake_refused,  // by the host
  handshake_fails,    // by our own verdict
  handshake_hangs,
  seal_fails,
  // Only where TLS is real.
  bad_certificate,  // of another name, or expired
  record_spoilt,    // a bit of a record, on its way from the host or to it
  key_update,       // the host changes its key, and perhaps wants the engine to change its own
  new_ticket,       // among the answers
  // Hosts.
  silent,     // an answer that never comes
  shuffled,   // answers out of order, where keys tell
  duplicate,  // an answer twice
  unsolicited,
  garbage,
  close,  // with or without close_notify
  stops_reading,
  // Clients.
  client_dies,
  client_leaves,
  client_scribbles,
  duplicate_key,
  // Processes with streams.
  stream_dies,    // the process, with all it has
  stream_closes,  // in the middle of something
  stream_stops_reading,
  // The engine.
  engine_dies,         // between two steps
  engine_dies_within,  // at a call that it makes of the world
  memory_runs_out,     // somewhere in a call of the engine
  engine_drains,
  upstream_drains,  // or is resumed
  refresh,          // an upstream's settings change
  upstream_removed,
  group_removed,
  // The clock.
  clock_leaps,  // far ahead, for everybody: the machine has stood still
};
inline constexpr std::size_t kFaultCount = static_cast<std::size_t>(Fault::clock_leaps) + 1;

std::string_view name_of(Fault fault);

// Chances in thousandths, each time the occasion arises.
class Faults {
 public:
  // Some of these, each more or less often. Which ones differs from run to run: faults that are always on hide others.
  static Faults some(Random& random, bool is_tls_real);

  std::uint32_t& operator[](Fault fault) { return permille_[static_cast<std::size_t>(fault)]; }
  std::uint32_t operator[](Fault fault) const { return permille_[static_cast<std::size_t>(fault)]; }

  friend bool operator==(const Faults&, const Faults&) = default;
  // Nothing goes wrong.
  [[nodiscard]] bool none() const { return *this == Faults{}; }

 private:
  std::array<std::uint32_t, kFaultCount> permille_{};
};

}  // namespace tlsmux::simulation
