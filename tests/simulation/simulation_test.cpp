// Runs the engine's own code in thousands of worlds, each out of one seed, and lets a reference model watch.
//
//   TLSMUX_SEED=n              that world alone
//   TLSMUX_SIMULATION_SEEDS=n  so many, from TLSMUX_SEED on or from a random one
// With neither, always the same worlds, from 1 on: what fails then has to do with what was changed.
//   TLSMUX_REAL_TLS_ONE_IN=n   one world in so many has real TLS instead of PlainTls, 0: none; else one in 150
//   TLSMUX_SIMULATION_TRACE=1  prints what happens, step by step
//   TLSMUX_SIMULATION_REPORT=1 prints how often each fault struck, and what came of it
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

bool is_usual() { return !number_in_environment("TLSMUX_SEED") && !number_in_environment("TLSMUX_SIMULATION_SEEDS"); }

std::uint64_t first_seed() { return is_usual() ? 1 : test::seed(); }

// Of the usual worlds it is known that they see all there is to see. As many others may miss what is rare.
std::uint64_t count_that_sees_all() { return (is_usual() ? 1 : 10) * TLSMUX_SIMULATION_SEEDS_DEFAULT; }

std::uint64_t worlds_per_real_one() {
  return number_in_environment("TLSMUX_REAL_TLS_ONE_IN").value_or(simulation::kWorldsPerRealOne);
}

// For the command that repeats a world, which depends on it.
std::string real_tls_setting() {
  const auto set = number_in_environment("TLSMUX_REAL_TLS_ONE_IN");
  return set ? "TLSMUX_REAL_TLS_ONE_IN=" + std::to_string(*set) + " " : "";
}

void print(const Statistics& seen) {
  std::printf("%" PRIu64 " runs (%" PRIu64 " with real TLS), %" PRIu64 " steps, %" PRIu64 " engines, %" PRIu64
              " clients, %" PRIu64 " requests: answered=%" PRIu64 " not_sent=%" PRIu64 " maybe_sent=%" PRIu64
              "; %" PRIu64 " streams: closed=%" PRIu64 " refused=%" PRIu64 " lost=%" PRIu64 "\n",
              seen.runs, seen.runs_with_real_tls, seen.steps, seen.engines, seen.clients, seen.requests, seen.told[1],
              seen.told[2], seen.told[3], seen.streams.opened, seen.streams.closed, seen.streams.refused,
              seen.streams.lost);
}

void print_line(const char* what, std::string_view name, std::uint64_t count) {
  std::printf("%-8s %-30.*s %12" PRIu64 "\n", what, static_cast<int>(name.size()), name.data(), count);
}

void print_table(const Statistics& seen) {
  for (std::size_t i = 0; i < simulation::kFaultCount; ++i) {
    const auto fault = static_cast<simulation::Fault>(i);
    print_line("fault", name_of(fault), seen.sightings.of(fault));
  }
  for (std::size_t i = 0; i < simulation::kSeenCount; ++i) {
    const auto sight = static_cast<simulation::Seen>(i);
    print_line("seen", name_of(sight), seen.sightings.of(sight));
  }
  for (std::size_t i = 0; i < seen.reasons.size(); ++i) {
    if (seen.reasons[i] > 0) print_line("reason", shm::reason_name(static_cast<shm::Reason>(i)), seen.reasons[i]);
  }
  const auto& streams = seen.streams;
  print_line("stream", "opened", streams.opened);
  print_line("stream", "turned_away", streams.turned_away);
  print_line("stream", "refused", streams.refused);
  print_line("stream", "closed", streams.closed);
  print_line("stream", "lost", streams.lost);
  print_line("stream", "lost_not_sent", streams.lost_not_sent);
  print_line("stream", "left", streams.left);
  print_line("stream", "answers", streams.answers);
  print_line("stream", "sessions_reused", streams.reused);
  print_line("chance", "last_draws", seen.last_draw);
}

// A generator that does not reach something any more would make promises for nothing.
void check_all_is_reached(const Statistics& seen) {
  for (std::size_t i = 0; i < simulation::kFaultCount; ++i) {
    const auto fault = static_cast<simulation::Fault>(i);
    CAPTURE(std::string(name_of(fault)));
    CHECK(seen.sightings.of(fault) > 0);
  }
  for (std::size_t i = 0; i < simulation::kSeenCount; ++i) {
    const auto sight = static_cast<simulation::Seen>(i);
    CAPTURE(std::string(name_of(sight)));
    CHECK(seen.sightings.of(sight) > 0);
  }
}

}  // namespace

TEST_CASE("simulation.every request ends in exactly one true outcome, whatever fails") {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto runs = count_of_runs();
  const auto first = first_seed();
  const bool is_traced = number_in_environment("TLSMUX_SIMULATION_TRACE").value_or(0) != 0;
  Statistics seen;
  for (std::uint64_t i = 0; i < runs; ++i) {
    const auto seed = first + i;
    INFO("replay: TLSMUX_SIMULATION_TRACE=1 " << real_tls_setting() << "TLSMUX_SEED=" << seed << " " << program);
    try {
      seen.add(World(seed, is_traced, worlds_per_real_one()).run());
    } catch (const Violation& violation) {
      FAIL(std::string(violation.what()));
    }
  }
  print(seen);
  if (number_in_environment("TLSMUX_SIMULATION_REPORT").value_or(0) != 0) print_table(seen);
  if (runs < count_that_sees_all()) return;
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
                            Reason::upstream_removed,
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
  check_all_is_reached(seen);
  const auto& streams = seen.streams;
  for (const auto count : {streams.turned_away, streams.refused, streams.closed, streams.lost - streams.lost_not_sent,
                           streams.lost_not_sent, streams.left, streams.answers, streams.reused}) {
    CHECK(count > 0);
  }
}

TEST_CASE("simulation.a world with real TLS follows from its seed, whatever the keys are") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const auto once = World(seed, false, 1).run();
    CHECK(once.runs_with_real_tls == 1);
    CHECK(once == World(seed, false, 1).run());
  }
}
