// That the soak sees what it looks for: with real processes, its own eyes and its own judgement.

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/preloaded_engine.hpp"
#include "tests/soak/leak.hpp"
#include "tests/soak/quiet_point.hpp"
#include "tests/soak/report.hpp"

namespace tlsmux::soak {
namespace {

using Names = std::set<std::string>;

// After so many rounds of clients that come, ask and go.
Names what_grows(const test::EngineLaunch& launch) {
  constexpr int kRounds = 12;
  constexpr int kClients = 8;  // in a round
  test::AskingScene scene;
  const host::HostProcess host({"--mode", "echo", "--record", scene.record});
  scene.start_engine(host.port(), {}, launch);
  Report report(1e9);  // prints no line
  for (int round = 0; round < kRounds; ++round) {
    for (int client = 0; client < kClients; ++client) {
      scene.begin();
      CHECK(scene.ask_one().outcome == TMX_ANSWERED);
      scene.requester.reset();
    }
    Sample sample;
    sample.quiet = await_quiet(
        {.config = scene.config, .engine = scene.engine->engine_pid(), .broker = scene.engine->broker_pid()});
    sample.quiet.at_s = round;
    report.add(sample);
  }
  scene.end();
  Names names;
  for (const auto& verdict : report.verdicts()) {
    if (verdict.trend.grows) names.insert(verdict.resource->name);
  }
  return names;
}

}  // namespace

TEST_CASE("faults.soak names what a real engine leaks, and finds nothing where there is no leak") {
  if (test::skip_preloading() || test::skip_without_root("only root sees an engine's descriptors")) return;
  CHECK(what_grows({}) == Names{});
  const auto grows = what_grows(launch_leaking());
  for (const auto* wanted : {"engine anonymous kB", "engine descriptors"}) {
    CHECK_MESSAGE(grows.contains(wanted), wanted);
  }
}

TEST_CASE("faults.soak sees the slots of a request that nobody answers, until its client has gone") {
  test::AskingScene scene;
  const host::HostProcess host({"--mode", "sink", "--record", scene.record});
  scene.start_engine(host.port());
  scene.begin();
  scene.submit(1);
  Held held;
  CHECK(test::eventually([&] {
    held = look_at(scene.config);
    return held.slots != 0;
  }));
  const auto words = too_much(held, 1);
  for (const auto* wanted : {"slots=2 ", "in_flight="}) CHECK_MESSAGE(words.contains(wanted), words);
  scene.requester.reset();
  CHECK(test::eventually([&] {
    held = look_at(scene.config);
    return held.slots == 0 && held.clients == 0;
  }));
}

}  // namespace tlsmux::soak
