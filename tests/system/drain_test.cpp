// `tlsmux drain`: an upstream is taken out of use while clients go on.

#include <string>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/system/command.hpp"

namespace tlsmux::test {
namespace {

CommandResult drain(const Rig& rig, const std::string& arguments) {
  return run_tlsmux("drain acquirer --control-socket " + rig.config.engine.control_socket + " " + arguments);
}

}  // namespace

TEST_CASE("outcome.drain of an idle upstream ends its sessions, and resume brings it back") {
  Rig rig({"--mode", "echo"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.ask("before").outcome == TMX_ANSWERED);
  auto drained = drain(rig, "");
  CHECK(drained.exit_code == 0);
  CHECK(drained.text == "acquirer is drained: it takes no requests until `tlsmux drain --resume acquirer`\n");
  CHECK(rig.await_facts([](const auto& facts) { return facts.sessions_ready == 0; }).in_flight == 0);
  await([&] {
    return run_tlsmux("status --control-socket " + rig.config.engine.control_socket).text.contains("  DRAINED: takes ");
  });
  const auto refused = requester.ask("while");
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(refused.reason == TMX_REASON_UPSTREAM_DRAINING);

  drained = drain(rig, "--resume");
  CHECK(drained.exit_code == 0);
  CHECK(drained.text == "acquirer takes requests again\n");
  CHECK(requester.ask("after").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("outcome.drain lets requests that are open end, and says what it had to end") {
  Rig rig({"--silent-after", "0"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  REQUIRE(requester.submit("never answered", 7) == 0);
  rig.await_received(1);
  const auto drained = drain(rig, "--timeout-ms 1500");
  CHECK(drained.exit_code == 1);
  CHECK_MESSAGE(drained.text.find("acquirer drains: 1 in flight, 0 waiting, 1 session open\n") != std::string::npos,
                drained.text);
  CHECK(drained.text.find("acquirer is drained, but 1 request was not done in time and was ended\n") !=
        std::string::npos);
  const auto ended = requester.take_one();
  CHECK(ended.tag == 7);
  CHECK(ended.outcome == TMX_MAYBE_SENT);
  CHECK(ended.reason == TMX_REASON_UPSTREAM_DRAINING);
  rig.stop();
}

TEST_CASE("outcome.drain of the engine that cuts requests off says how many, as a warning") {
  Rig rig({"--silent-after", "0"}, [](config::Config& config) { config.engine.drain_timeout_ms = 100; });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  REQUIRE(requester.submit("never answered", 7) == 0);
  rig.await_received(1);
  rig.stop();
  const auto ended = requester.take_one();
  CHECK(ended.outcome == TMX_MAYBE_SENT);
  const auto lines = rig.engine().log().lines_with("event=drained ");
  REQUIRE(lines.size() == 1);
  CHECK_MESSAGE(lines[0].find("level=warning event=drained requests_left=1 ") != std::string::npos, lines[0]);
}

TEST_CASE("outcome.drain of what does not exist says so") {
  Rig rig({"--mode", "echo"});
  const auto drained = run_tlsmux("drain nobody --control-socket " + rig.config.engine.control_socket);
  CHECK(drained.text == "tlsmux drain: nobody: there is no upstream of that name\n");
  CHECK(drained.exit_code == 1);
  rig.stop();
}

}  // namespace tlsmux::test
