#pragma once

// What there is when nobody asks for anything: it must be the same each time.

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tests/soak/process_figures.hpp"
#include "tests/soak/world.hpp"

namespace tlsmux::soak {

struct Held {
  std::uint64_t clients = 0;
  std::uint64_t channels = 0;
  std::uint64_t slots = 0;      // that the engine holds
  std::uint64_t in_flight = 0;  // requests, or waiting
  std::uint64_t streams = 0;
  std::uint64_t sessions = 0;  // that are ready
  std::uint64_t sessions_missing = 0;
  std::uint64_t ports = 0;  // claimed, bound, or a dead process's
  std::uint64_t ports_leased = 0;
};

struct QuietPoint {
  double at_s = 0;
  pid_t engine_pid = -1;
  ProcessFigures engine;
  ProcessFigures broker;
  ProcessFigures residents;  // all together
  Held held;
};

Held look_at(World& world);

// What there should not be while the residents rest, in words; empty if all is as it should be.
std::string too_much(const Held& held, std::size_t residents_attached);

// Waits until nothing is held that should not be. Fails the test, saying what is left, if that does not come.
QuietPoint await_quiet(World& world);

}  // namespace tlsmux::soak
