#pragma once

// What there is when nobody asks for anything: it must be the same each time.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/soak/process_figures.hpp"

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

// Who is looked at.
struct Watched {
  const config::Config& config;
  pid_t engine = -1;
  pid_t broker = -1;
  std::vector<pid_t> residents{};
  std::size_t residents_attached = 0;
};

Held look_at(const config::Config& config);

// What there should not be while the residents rest, in words; empty if all is as it should be.
std::string too_much(const Held& held, std::size_t residents_attached);

// Waits until nothing is held that should not be. Fails the test, saying what is left, if that does not come, and if it
// sees nothing of a process that is there.
QuietPoint await_quiet(const Watched& watched);

}  // namespace tlsmux::soak
