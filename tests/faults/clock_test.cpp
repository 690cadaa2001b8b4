// A wall clock that jumps: outcomes and deadlines do not, and certificates are as good as the clock says.

#include <doctest/doctest.h>

#include "tests/faults/preloaded_engine.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"

namespace tlsmux::test {
namespace {

constexpr std::int64_t kDayS = 86'400;
constexpr std::int64_t kLongS = 80 * 365 * kDayS;  // every certificate has ended by then

struct Scene {
  explicit Scene(std::vector<std::string> host_arguments)
      : record(folder.path() + "/record"),
        host([&] {
          host_arguments.insert(host_arguments.end(), {"--mode", "echo", "--record", record});
          return host_arguments;
        }()),
        config(engine_config(folder, {host.port()})) {
    set_keyed(config.upstreams[0]);
    engine = std::make_unique<EngineProcess>(folder, config, clock.launch());
    engine->await_sessions(1);
    requester = std::make_unique<Requester>(config);
  }
  Ended ask(std::uint32_t timeout_ms = 20'000) {
    const auto tag = all.size() + 1;
    CHECK(requester->submit(keyed_message(tag), tag, timeout_ms) == 0);
    all.push_back(requester->take_one());
    return all.back();
  }
  void end() {
    check_truth(all, read_host_records({record}));
    CHECK(engine->stop() == 0);
  }

  Residue residue;
  TemporaryFolder folder;
  PreloadedNumber<std::int64_t> clock{folder, TLSMUX_STEPPED_CLOCK, "TLSMUX_STEPPED_CLOCK"};  // see stepped_clock.c
  std::string record;
  host::HostProcess host;
  config::Config config;
  std::unique_ptr<EngineProcess> engine;
  std::unique_ptr<Requester> requester;
  std::vector<Ended> all;
};

}  // namespace

TEST_CASE("faults.the wall clock steps: no deadline comes early or late for it, and the log has the new time") {
  if (skip_under_sanitizer()) return;
  Scene scene({"--delay-us", "200000"});
  for (const auto step : {kDayS, -kDayS, kLongS}) {
    CAPTURE(step);
    CHECK(scene.requester->submit(keyed_message(scene.all.size() + 1), scene.all.size() + 1, 20'000) == 0);
    scene.clock.set(step);  // while it is in flight
    scene.all.push_back(scene.requester->take_one());
    CHECK(scene.all.back().outcome == TMX_ANSWERED);
    const auto late = scene.ask(50);
    CHECK(late.outcome == TMX_MAYBE_SENT);
    CHECK(late.reason == TMX_REASON_DEADLINE);
  }
  CHECK(scene.engine->log().count("event=session_lost") == 0);
  scene.end();
  const auto line = scene.engine->log().wait_for("event=drained");
  CHECK_MESSAGE(line.substr(0, 4) > "2100", line);  // it did step
}

TEST_CASE(
    "faults.the host's certificate expires in mid-run: its session goes on, the next is refused, with the reason") {
  if (skip_under_sanitizer()) return;
  Scene scene({"--close-after", "3"});
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  scene.clock.set(kLongS);
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  CHECK(scene.ask().outcome == TMX_MAYBE_SENT);  // the host closes
  const auto refused = scene.ask();
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(std::string(tmx_reason_name(refused.reason)) == tmx_reason_name(TMX_REASON_CERTIFICATE_EXPIRED));
  const auto line = scene.engine->log().wait_for("event=session_failed");
  CHECK_MESSAGE(line.find("expired on") != std::string::npos, line);
  scene.clock.set(0);
  scene.engine->await_sessions(2);
  CHECK(scene.ask().outcome == TMX_ANSWERED);
  scene.end();
}

}  // namespace tlsmux::test
