// A wall clock that jumps: outcomes and deadlines do not, and certificates are as good as the clock says.

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/preloaded_engine.hpp"

namespace tlsmux::test {
namespace {

constexpr std::int64_t kDayS = 86'400;
constexpr std::int64_t kLongS = 80 * 365 * kDayS;  // every certificate has ended by then

struct Scene : AskingScene {
  explicit Scene(std::vector<std::string> host_arguments)
      : host([&] {
          host_arguments.insert(host_arguments.end(), {"--mode", "echo", "--record", record});
          return host_arguments;
        }()) {
    start_engine(host.port(), {}, clock.launch());
    begin();
  }

  PreloadedNumber<std::int64_t> clock{folder, TLSMUX_STEPPED_CLOCK, "TLSMUX_STEPPED_CLOCK"};  // see stepped_clock.c
  host::HostProcess host;
};

}  // namespace

TEST_CASE("faults.the wall clock steps: no deadline comes early or late for it, and the log has the new time") {
  if (skip_preloading()) return;
  Scene scene({"--delay-us", "2000000"});
  for (const auto step : {kDayS, -kDayS, kLongS}) {
    CAPTURE(step);
    scene.submit(1);
    scene.submit(1, 1'000);
    scene.await_received(scene.submitted);
    scene.clock.set(step);  // while they are in flight
    const auto late = scene.take(1).front();
    CHECK(late.outcome == TMX_MAYBE_SENT);
    CHECK(late.reason == TMX_REASON_DEADLINE);
    CHECK(scene.take(1).front().outcome == TMX_ANSWERED);
  }
  CHECK(scene.engine->log().count("event=session_lost") == 0);
  scene.end();
  const auto line = scene.engine->log().wait_for("event=drained");
  CHECK_MESSAGE(line.substr(0, 4) > "2100", line);  // it did step
}

TEST_CASE(
    "faults.the host's certificate expires in mid-run: its session goes on, the next is refused, with the reason") {
  if (skip_preloading()) return;
  Scene scene({"--close-after", "3"});
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  scene.clock.set(kLongS);
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  CHECK(scene.ask_one().outcome == TMX_MAYBE_SENT);  // the host closes
  const auto refused = scene.ask_one();
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(std::string(tmx_reason_name(refused.reason)) == tmx_reason_name(TMX_REASON_CERTIFICATE_EXPIRED));
  const auto line = scene.engine->log().wait_for("event=session_failed");
  CHECK_MESSAGE(line.find("expired on") != std::string::npos, line);
  scene.clock.set(0);
  scene.engine->await_sessions(2);
  CHECK(scene.ask_one().outcome == TMX_ANSWERED);
  scene.end();
}

}  // namespace tlsmux::test
