// The engine dies, or its broker does: each client settles what was open and goes on with the next engine by itself.

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>

#include <doctest/doctest.h>

#include "tests/broker/log_pipe.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/unusable_host.hpp"
#include "tests/system/command.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/proc_files.hpp"

namespace tlsmux::test {
TEST_CASE("faults.the engine is killed: what was sent is MAYBE_SENT, what was not is NOT_SENT") {
  const BlackHole hole;
  Rig rig({"--mode", "sink"}, [&](config::Config& config) {
    auto queued = config.upstreams[0];
    queued.name = "hole";
    queued.endpoints[0].port = hole.port();
    queued.timeouts.connect_ms = 60'000;
    config.upstreams.push_back(queued);
    config.engine.drain_timeout_ms = 200;
  });
  rig.engine().await_sessions(1);
  Requester sent(rig.config);
  Requester queued(rig.config, {}, "hole");
  CHECK(sent.submit("in flight", 1) == 0);
  CHECK(sent.submit("in flight", 2) == 0);
  CHECK(queued.submit("queued", 3) == 0);
  rig.await_received(2);
  await([&] { return upstream_facts(rig.group(), "hole").queued == 1; });
  rig.engine().kill_engine();
  CHECK(count_outcomes(sent.take(2), TMX_MAYBE_SENT, TMX_REASON_ENGINE_DIED) == 2);
  CHECK(count_outcomes(queued.take(1), TMX_NOT_SENT, TMX_REASON_ENGINE_DIED) == 1);

  rig.engine().await_sessions(2);
  sent.submit_surely("for the next engine", 4);
  rig.await_received(3);
  rig.stop();
}

TEST_CASE("faults.an answer stays readable when the engine that gave it is dead") {
  Rig rig({"--mode", "echo"});
  Requester requester(rig.config);
  const auto message = keyed_message(7, 3000);
  CHECK(requester.submit(message) == 0);
  tmx_completion held{};
  REQUIRE(tmx_poll(requester.channel(), &held, 1, 20'000) == 1);
  tmx_buffer stale{};
  REQUIRE(tmx_reserve(requester.channel(), &stale) == 0);
  rig.engine().kill_engine();
  await([&] { return requester.ask("for the next engine").outcome == TMX_ANSWERED; });
  CHECK(std::string_view(static_cast<const char*>(held.data), held.length) == message);
  std::memcpy(stale.data, message.data(), message.size());
  CHECK(tmx_submit(requester.channel(), &stale, 10, 0, 0) == -ESTALE);
  CHECK(tmx_abandon(requester.channel(), &stale) == 0);
  CHECK(tmx_release(requester.channel(), &held) == 0);
  CHECK(tmx_release(requester.channel(), &held) == -EINVAL);
  rig.stop();
}

TEST_CASE("faults.the engine is killed again and again: clients attach again without being started again") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  const StopSign stop;
  std::vector<std::unique_ptr<LoadProcess>> clients;
  std::vector<std::string> started;
  for (std::uint32_t client = 1; client <= 4; ++client) {
    auto order = load_order(rig.config, client);
    order.stop = stop.descriptor();
    clients.push_back(std::make_unique<LoadProcess>(order));
    started.push_back(start_time(clients.back()->pid()));
  }
  constexpr int kKills = 3;
  for (int i = 1; i <= kKills; ++i) {
    // Every client is served by this engine before it dies.
    await([&] {
      const auto facts = group_facts(rig.group());
      return facts.clients.size() == clients.size() && !facts.upstreams.empty() && facts.upstreams[0].answered > 200;
    });
    rig.engine().kill_engine();
    const auto line = rig.engine().log().wait_for("restarts=" + std::to_string(i));
    CHECK(value_in(line, "pid") == std::to_string(rig.engine().engine_pid()));
  }
  await([&] { return group_facts(rig.group()).clients.size() == clients.size(); });
  for (std::size_t i = 0; i < clients.size(); ++i) {
    CHECK(start_time(clients[i]->pid()) == started[i]);
    CHECK(children_of(clients[i]->pid()).empty());
  }
  stop.raise();
  for (auto& client : clients) {
    const auto report = client->report();
    CHECK_MESSAGE(report.answered > 0, words_of(report));
  }
  CHECK(rig.engine().log().count("event=engine_started") == kKills + 1);
  const auto status = run_tlsmux("status --control-socket " + rig.config.engine.control_socket);
  CHECK_MESSAGE(status.text.contains(", RESTARTED 3 times since tlsmuxd was started\n"), status.text);
  rig.stop();
}

TEST_CASE("faults.a client that does not want the next engine") {
  Rig rig({"--mode", "echo"});
  auto options = attach_options(rig.config);
  options.flags = TMX_NO_REATTACH;
  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_attach(&options, &client) == 0);
  REQUIRE(tmx_channel_open(client, "acquirer", &channel) == 0);
  rig.engine().kill_engine();
  tmx_completion completion{};
  CHECK(tmx_poll(channel, &completion, 1, 0) == 0);
  tmx_buffer buffer{};
  await([&] { return tmx_reserve(channel, &buffer) == -ENOTCONN; });
  tmx_result result{};
  CHECK(tmx_call(channel, "a request", 9, nullptr, 0, 300, &result) == -ENOTCONN);
  CHECK(group_facts(rig.group()).clients.empty());
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
  rig.stop();
}

TEST_CASE("faults.the broker is killed: the engine ends what it has begun, and the next one is found") {
  Rig rig({"--mode", "echo", "--delay-us", "300000"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.submit("in flight", 1) == 0);
  rig.await_received(1);
  CHECK(rig.engine().kill_broker() == 0);
  CHECK(rig.engine().log().count("reason=\"the broker is dead\"") == 1);
  CHECK(count_outcomes(requester.take(1), TMX_ANSWERED, TMX_REASON_NONE) == 1);
  CHECK(requester.take_present().empty());  // and finds out that the engine is gone
  CHECK(requester.submit("nobody there") == -ENOTCONN);
  EngineProcess next(rig.folder, rig.config);
  requester.submit_surely("for the next engine", 2);
  CHECK(requester.take_one().outcome == TMX_ANSWERED);
  CHECK(next.stop() == 0);
}

TEST_CASE("faults.an engine that stands still: deadlines hold, and what was withdrawn is not sent later") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.ask(keyed_message(1)).outcome == TMX_ANSWERED);
  stop_process(rig.engine().engine_pid());
  const auto ended = requester.ask(keyed_message(2), 200);
  CHECK(ended.outcome == TMX_NOT_SENT);
  CHECK(ended.reason == TMX_REASON_DEADLINE);
  REQUIRE(::kill(rig.engine().engine_pid(), SIGCONT) == 0);
  CHECK(requester.ask(keyed_message(3)).outcome == TMX_ANSWERED);
  CHECK(rig.received() == 2);
  rig.stop();
}

}  // namespace tlsmux::test
