#pragma once

// What all parts of one simulated world share.

#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <set>
#include <string>

#include "config/config.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/random.hpp"
#include "tests/simulation/scarce_memory.hpp"
#include "tests/simulation/seal_notes.hpp"
#include "tests/simulation/sightings.hpp"
#include "tests/simulation/stream_ledger.hpp"

namespace tlsmux::simulation {

// The engine's process ends here: thrown out of a call that it makes of the world.
struct EngineKilled {};

class RealHosts;

struct Context {
  Context(std::uint64_t seed, config::Config settings) : random(seed), config(std::move(settings)) {}

  [[nodiscard]] const config::UpstreamSettings& upstream(std::uint32_t index) const { return config.upstreams[index]; }
  // As the engine that runs has them now. Of a fickle one a refresh changes what else never changes: whether sessions are
  // leased, and the framing.
  [[nodiscard]] const config::UpstreamSettings& present(std::uint32_t index) const {
    return present_settings ? present_settings(index) : upstream(index);
  }
  [[nodiscard]] bool is_fickle(std::uint32_t index) const { return fickle.contains(index); }
  // At present.
  [[nodiscard]] bool in_order(std::uint32_t index) const {
    return present(index).correlation.kind == config::CorrelationKind::fifo;
  }
  // At some time.
  [[nodiscard]] bool may_be_in_order(std::uint32_t index) const {
    return changing_keys.contains(index) || in_order(index);
  }

  WireReader wire_reader() { return WireReader(real_hosts != nullptr ? &seals : nullptr); }

  // It goes wrong this time.
  bool strikes(Fault fault) {
    if (!random.chance(faults[fault])) return false;
    sightings.count(fault);
    return true;
  }
  void note(Seen seen) { sightings.count(seen); }

  // The engine calls the world: other processes may do something in between, and the engine may die. Throws
  // EngineKilled. What is returned lives until the world has done what it was called for.
  [[nodiscard]] AmpleMemory engine_calls_world() {
    {
      const AmpleMemory memory;  // ends before the next begins: each restores what it found
      if (strikes(Fault::engine_dies_within)) throw EngineKilled{};
      if (while_engine_works && random.chance(100)) while_engine_works();
    }
    return AmpleMemory{};
  }

  // The world calls the engine, whose memory may run out at any allocation that it makes then. It does not catch that,
  // so that its process ends. Throws EngineKilled.
  template <typename Call>
  void engine_acts(Call call) {
    const bool runs_out = strikes(Fault::memory_runs_out);
    try {
      const ScarceMemory memory(runs_out ? random.between(1, random.below(2) == 0 ? kFewAllocations : kAllocationsMax)
                                         : 0);
      call();
    } catch (const std::bad_alloc&) {
      trace("the engine's memory runs out");
      note(Seen::engine_out_of_memory);
      throw EngineKilled{};
    }
  }

  // One line for whoever follows a run; see TLSMUX_SIMULATION_TRACE in simulation_test.cpp.
  void trace(const std::string& line) const {
    if (is_traced) print_trace(line);
  }
  void print_trace(const std::string& line) const;

  Random random;
  Faults faults;
  Sightings sightings;
  config::Config config;
  std::shared_ptr<RealHosts> real_hosts;  // null: PlainTls in this world
  SealNotes seals;                        // of a world with real TLS
  Ledger ledger;
  LeaseLedger leases{config};
  StreamLedger streams{config, ledger, leases};
  std::uint64_t now_ns = 1'000'000'000;
  std::function<const config::UpstreamSettings&(std::uint32_t)> present_settings;  // none: there is no engine
  std::set<std::uint32_t> fickle;                                                  // upstreams
  std::set<std::uint32_t> changing_keys;     // upstreams: a refresh makes order tell instead of keys, and keys again
  std::set<std::uint16_t> ports_down;        // of endpoints that are gone
  std::function<void()> while_engine_works;  // one step of a client
  std::uint64_t last_engine = 0;
  std::uint64_t last_opening = 0;  // of a channel
  std::uint64_t last_leased_message = 0;
  bool has_streams = false;
  bool is_traced = false;

 private:
  static constexpr std::uint64_t kFewAllocations = 4;  // most calls make no more
  static constexpr std::uint64_t kAllocationsMax = 60;
};

}  // namespace tlsmux::simulation
