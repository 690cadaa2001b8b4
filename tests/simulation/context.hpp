#pragma once

// What all parts of one simulated world share.

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "config/config.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/random.hpp"
#include "tests/simulation/stream_ledger.hpp"

namespace tlsmux::simulation {

// The engine's process ends here: thrown out of a call that it makes of the world.
struct EngineKilled {};

struct Context {
  Context(std::uint64_t seed, config::Config settings) : random(seed), config(std::move(settings)) {}

  [[nodiscard]] const config::UpstreamSettings& upstream(std::uint32_t index) const { return config.upstreams[index]; }
  [[nodiscard]] bool in_order(std::uint32_t upstream_index) const {
    return upstream(upstream_index).correlation.kind == config::CorrelationKind::fifo;
  }

  // The engine calls the world: other processes may do something in between, and the engine may die. Throws
  // EngineKilled.
  void engine_calls_world() {
    if (random.chance(faults.engine_dies_within)) throw EngineKilled{};
    if (while_engine_works && random.chance(100)) while_engine_works();
  }

  // One line for whoever follows a run; see TLSMUX_SIMULATION_TRACE in simulation_test.cpp.
  void trace(const std::string& line) const {
    if (is_traced) print_trace(line);
  }
  void print_trace(const std::string& line) const;

  Random random;
  Faults faults;
  config::Config config;
  Ledger ledger;
  LeaseLedger leases{config};
  StreamLedger streams{config, ledger, leases};
  std::uint64_t now_ns = 1'000'000'000;
  std::set<std::uint16_t> ports_down;        // of endpoints that are gone
  std::function<void()> while_engine_works;  // one step of a client
  std::uint64_t last_engine = 0;
  std::uint64_t last_opening = 0;       // of a channel
  std::uint64_t unsolicited_heard = 0;  // by clients
  std::uint64_t last_leased_message = 0;
  bool has_streams = false;
  bool is_traced = false;
};

}  // namespace tlsmux::simulation
