#pragma once

// What goes wrong in a run, and how often.

#include <cstdint>

#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

// Chances in thousandths, each time the occasion arises.
struct Faults {
  // The network.
  std::uint32_t partial_io = 0;  // a read or write that moves less than it could
  std::uint32_t connect_refused = 0;
  std::uint32_t connect_hangs = 0;
  std::uint32_t reset = 0;          // of a connection, both directions
  std::uint32_t small_window = 0;   // a connection whose kernel buffer is a few bytes
  std::uint32_t endpoint_goes = 0;  // all of an endpoint's connections are lost, and new ones refused, until it is back

  // Names and handshakes.
  std::uint32_t lookup_fails = 0;
  std::uint32_t lookup_hangs = 0;
  std::uint32_t handshake_refused = 0;  // by the host
  std::uint32_t handshake_fails = 0;    // by our own verdict
  std::uint32_t handshake_hangs = 0;
  std::uint32_t seal_fails = 0;

  // Hosts.
  std::uint32_t silent = 0;     // an answer that never comes
  std::uint32_t shuffled = 0;   // answers out of order, where keys tell
  std::uint32_t duplicate = 0;  // an answer twice
  std::uint32_t unsolicited = 0;
  std::uint32_t garbage = 0;
  std::uint32_t close = 0;  // with or without close_notify
  std::uint32_t stops_reading = 0;

  // Clients.
  std::uint32_t client_dies = 0;
  std::uint32_t client_leaves = 0;
  std::uint32_t client_scribbles = 0;
  std::uint32_t duplicate_key = 0;

  // Processes with streams.
  std::uint32_t stream_dies = 0;    // the process, with all it has
  std::uint32_t stream_closes = 0;  // in the middle of something
  std::uint32_t stream_stops_reading = 0;

  // The engine.
  std::uint32_t engine_dies = 0;         // between two steps
  std::uint32_t engine_dies_within = 0;  // at a call that it makes of the world
  std::uint32_t engine_drains = 0;
  std::uint32_t upstream_drains = 0;  // or is resumed
  std::uint32_t refresh = 0;          // an upstream's settings change
  std::uint32_t upstream_removed = 0;

  friend bool operator==(const Faults&, const Faults&) = default;
  // Nothing goes wrong.
  [[nodiscard]] bool none() const { return *this == Faults{}; }

  // Some of these, each more or less often. Which ones differs from run to run: faults that are always on hide others.
  static Faults some(Random& random);
};

}  // namespace tlsmux::simulation
