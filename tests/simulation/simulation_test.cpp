// Runs the engine's own code in thousands of worlds, each out of one seed, and lets a reference model watch.
//
//   TLSMUX_SEED=n              that world alone
//   TLSMUX_SIMULATION_SEEDS=n  so many, from TLSMUX_SEED on or from a random one
//   TLSMUX_SIMULATION_TRACE=1  prints what happens, step by step
#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/simulation/world.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using simulation::Statistics;
using simulation::Violation;
using simulation::World;

namespace {

std::optional<std::uint64_t> number_in_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 0);
}

std::uint64_t count_of_runs() {
  const std::uint64_t otherwise = number_in_environment("TLSMUX_SEED") ? 1 : TLSMUX_SIMULATION_SEEDS_DEFAULT;
  return number_in_environment("TLSMUX_SIMULATION_SEEDS").value_or(otherwise);
}

void print(const Statistics& seen) {
  std::printf("%" PRIu64 " runs, %" PRIu64 " steps, %" PRIu64 " engines, %" PRIu64 " clients, %" PRIu64
              " requests: answered=%" PRIu64 " not_sent=%" PRIu64 " maybe_sent=%" PRIu64 "\n",
              seen.runs, seen.steps, seen.engines, seen.clients, seen.requests, seen.told[1], seen.told[2],
              seen.told[3]);
  std::printf("notices: late=%" PRIu64 " unsolicited=%" PRIu64 " orphans=%" PRIu64 "\n", seen.late, seen.unsolicited,
              seen.orphans);
  const auto& streams = seen.streams;
  std::printf("streams: opened=%" PRIu64 " turned_away=%" PRIu64 " refused=%" PRIu64 " closed=%" PRIu64 " lost=%" PRIu64
              " (not_sent=%" PRIu64 ") left=%" PRIu64 "; answers=%" PRIu64 " bytes=%" PRIu64 " sessions_reused=%" PRIu64
              "\n",
              streams.opened, streams.turned_away, streams.refused, streams.closed, streams.lost, streams.lost_not_sent,
              streams.left, streams.answers, streams.bytes, streams.reused);
  for (std::size_t i = 0; i < seen.reasons.size(); ++i) {
    if (seen.reasons[i] == 0) continue;
    std::printf("  %-30s %" PRIu64 "\n", shm::reason_name(static_cast<shm::Reason>(i)).data(), seen.reasons[i]);
  }
}

}  // namespace

TEST_CASE("simulation.every request ends in exactly one true outcome, whatever fails") {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto runs = count_of_runs();
  const bool is_traced = number_in_environment("TLSMUX_SIMULATION_TRACE").value_or(0) != 0;
  Statistics seen;
  for (std::uint64_t i = 0; i < runs; ++i) {
    const auto seed = test::seed() + i;
    INFO("replay: TLSMUX_SIMULATION_TRACE=1 TLSMUX_SEED=" << seed << " " << program);
    try {
      seen.add(World(seed, is_traced).run());
    } catch (const Violation& violation) {
      FAIL(std::string(violation.what()));
    }
  }
  print(seen);
  if (runs < TLSMUX_SIMULATION_SEEDS_DEFAULT) return;
  // So many runs see every outcome, and every reason that can arise in them.
  using shm::Reason;
  for (const auto reason : {Reason::overload,
                            Reason::duplicate_key,
                            Reason::unparsable,
                            Reason::name_not_resolved,
                            Reason::connect_refused,
                            Reason::connect_timeout,
                            Reason::connect_failed,
                            Reason::handshake_timeout,
                            Reason::handshake_failed,
                            Reason::certificate_untrusted,
                            Reason::certificate_rejected_by_host,
                            Reason::engine_draining,
                            Reason::host_closed,
                            Reason::connection_lost,
                            Reason::upstream_draining,
                            Reason::host_silent,
                            Reason::write_stalled,
                            Reason::stream_corrupt,
                            Reason::record_corrupt,
                            Reason::deadline,
                            Reason::cancelled,
                            Reason::engine_died,
                            Reason::reply_sent}) {
    CAPTURE(std::string(shm::reason_name(reason)));
    CHECK(seen.reasons[static_cast<std::size_t>(reason)] > 0);
  }
  CHECK(seen.late > 0);
  const auto& streams = seen.streams;
  CHECK(seen.unsolicited > 0);
  CHECK(seen.orphans > 0);
  for (const auto count : {streams.turned_away, streams.refused, streams.closed, streams.lost - streams.lost_not_sent,
                           streams.lost_not_sent, streams.left, streams.answers, streams.reused}) {
    CHECK(count > 0);
  }
}
