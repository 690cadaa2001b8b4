// Processes that die with requests open: what became of them goes to their group's orphan subscriber, who can reverse.

#include <memory>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/authorizer.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/subscriber.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kRequests = 5;
constexpr std::uint32_t kLongMs = 60'000;

// Dies when the host has received them all.
void die_with_requests_in_flight(const config::Config& config, host::HostProcess& host, std::uint32_t timeout_ms) {
  const auto received = [&] { host.await_count("received", kRequests); };
  REQUIRE(die_with_open_requests(config, 0, kRequests, timeout_ms, received) == kRequests);
}

// Once so many orphans have come, and late answers.
TakenNotices await_taken(const Subscriber& subscriber, std::size_t orphans, std::size_t late = 0) {
  TakenNotices taken;
  await([&] {
    taken = subscriber.taken();
    return !taken.trouble.empty() || (taken.orphans.size() >= orphans && taken.late.size() >= late);
  });
  CHECK(taken.trouble == "");
  CHECK(taken.orphans.size() == orphans);
  CHECK(taken.late.size() == late);
  return taken;
}

}  // namespace

TEST_CASE(
    "outcome.requests of a dead process and late answers to them wait for a subscriber, with the requests' bytes") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--late-percent", "100", "--late-ms", "700"});
  const auto config = acquirer_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  auto late = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_LATE);
  die_with_requests_in_flight(config, host, 200);
  const auto status = await_status(config, [](const auto& now) { return now.orphans_waiting == 2 * kRequests; });
  CHECK(status.orphans_held == 2 * kRequests);
  CHECK(status.late == kRequests);
  CHECK(status.maybe_sent_in_all() == kRequests);
  check_status_text(config, {"orphans 10, of which 10 wait for a subscriber"});

  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  const auto taken = await_taken(*orphans, kRequests, kRequests);
  CHECK(taken.orphans_with(kOverdue) == kRequests);
  CHECK(taken.late_of_dead == kRequests);
  CHECK(late->taken().late.empty());
  await_status(config, [](const auto& now) { return now.orphans_held == 0 && now.late == kRequests; });
  late.reset();
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.a late answer to a request of a dead process bears its bytes also after the orphan was released") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--late-percent", "100", "--late-ms", "3000"});
  const auto config = acquirer_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  die_with_requests_in_flight(config, host, 200);
  // The engine has its pairs back: it has dealt with them.
  await_status(config, [](const auto& now) { return now.maybe_sent_in_all() == kRequests && now.orphans_held == 0; });
  CHECK(orphans->taken().late.empty());
  const auto taken = await_taken(*orphans, kRequests, kRequests);
  CHECK(taken.orphans_with(kOverdue) == kRequests);
  CHECK(taken.late_of_dead == kRequests);
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.of outcomes that a dead process's library had found, those it had not polled go to the subscriber") {
  const Residue residue;
  const TemporaryFolder folder;
  HalfSeen order{.requests = kRequests, .polls = 1};
  std::vector<std::string> behaviour;
  std::string outcome = kAnswered;
  SUBCASE("answered") {}
  SUBCASE("answered, and another one in a call, which goes past those that wait") { order.calls = true; }
  SUBCASE("all polled") { order.polls = kRequests; }
  SUBCASE("given up at their deadline") {
    behaviour = {"--mode", "sink"};
    order.timeout_ms = 300;
    outcome = kOverdue;
  }
  SUBCASE("cancelled, which the engine does not know: it waits for their answers") {
    behaviour = {"--mode", "sink"};
    order.cancels = true;
    order.timeout_ms = 2000;
    outcome = kOverdue;
  }
  host::HostProcess host(behaviour);
  const auto config = acquirer_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  const auto die = [&](const HalfSeen& half) {
    die_with_unseen_outcomes(config, half, [&] {
      if (half.cancels) {
        host.await_count("received", kRequests);
        return;
      }
      const auto before =
          orphans->taken().orphans.size() + (half.requests == 1 ? order.polls + (order.calls ? 1 : 0) : 0);
      await_status(config,
                   [&](const auto& now) { return now.answered + now.maybe_sent_in_all() == before + half.requests; });
    });
  };
  die(order);
  const auto unseen = kRequests - order.polls;
  CHECK(await_taken(*orphans, unseen).orphans_with(outcome) == unseen);
  // One engine turn hands out all that a process leaves. What the next one leaves comes alone, then.
  order.cancels = false;
  die({.requests = 1, .timeout_ms = order.timeout_ms});
  CHECK(await_taken(*orphans, unseen + 1).orphans_with(outcome) == unseen + 1);
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.requests that a dead process had in flight are answered to the subscriber") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--delay-us", "300000"});
  const auto config = acquirer_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  die_with_requests_in_flight(config, host, kLongMs);
  CHECK(await_taken(*orphans, kRequests).orphans_with(kAnswered) == kRequests);
  const auto status = await_status(config, [](const auto& now) { return now.answered == kRequests; });
  CHECK(status.maybe_sent_in_all() == 0);
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.requests that a dead process had waiting for a session are NOT_SENT to the subscriber") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--handshake-stall"});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].timeouts.handshake_ms = kLongMs;
  EngineProcess engine(folder, config);
  REQUIRE(die_with_open_requests(config, 0, kRequests, kLongMs) == kRequests);
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  CHECK(await_taken(*orphans, kRequests).orphans_with("NOT_SENT client_died") == kRequests);
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.requests of a dead process whose host dies as well are MAYBE_SENT to the subscriber") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "sink"});
  const auto config = acquirer_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  die_with_requests_in_flight(config, host, kLongMs);
  host.kill();
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  const auto taken = await_taken(*orphans, kRequests);
  CHECK(taken.orphans_with("MAYBE_SENT host_closed") + taken.orphans_with("MAYBE_SENT connection_lost") == kRequests);
  orphans.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("outcome.orphans beyond count_max are dropped, the oldest first, and the log says how many") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--delay-us", "100000"});
  auto config = acquirer_config(folder, {host.port()});
  config.groups[0].orphans.count_max = 3;
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  die_with_requests_in_flight(config, host, kLongMs);
  engine.log().wait_for("event=orphans_dropped");
  auto orphans = std::make_unique<Subscriber>(config, 0, TMX_SUBSCRIBE_ORPHANS);
  CHECK(await_taken(*orphans, 3).orphans_with(kAnswered) == 3);
  check_status_text(config, {"orphans 2"});
  orphans.reset();
  CHECK(engine.stop() == 0);
}

}  // namespace tlsmux::test
