// Networks that are slow, narrow, one-sided or gone, between an engine and a good host. What must hold is told by outcomes
// and by the host's record; nothing here measures time.

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/delay_proxy.hpp"
#include "tests/faults/unusable_host.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kHalfRoundTripUs = 150'000;
constexpr std::size_t kLargeBytes = 1000;

// An engine, a host that echoes, and the proxy between them.
struct Scene : AskingScene {
  explicit Scene(const std::function<void(config::Config&)>& change = {}, const std::string& version = "any",
                 const std::function<void(DelayProxy&)>& prepare = {})
      : host({"--mode", "echo", "--tls", version, "--record", record, "--message-bytes-max", "65535"}),
        proxy(host.port()) {
    message_bytes = kLargeBytes;
    if (prepare) prepare(proxy);
    start_engine(proxy.port(), change);
  }
  // Until so many requests are with the session.
  void await_in_flight(std::uint32_t count) const {
    await([&] { return facts().in_flight == count; });
  }
  void end() {
    CHECK(engine->stop() == 0);
    CHECK(host.stop() == 0);  // it has read all that came to it
    check_all();
  }

  host::HostProcess host;
  DelayProxy proxy;
};

void delay_both(DelayProxy& proxy) {
  for (const auto way : {Way::to_host, Way::to_engine}) {
    proxy.set(way, {.delay_us = kHalfRoundTripUs, .jitter_us = kHalfRoundTripUs / 10});
  }
}

void set_in_flight_max(config::Config& config, std::uint32_t requests) {
  config.upstreams[0].in_flight_max = requests;
  config.groups[0].memory.slots_per_channel = 2 * requests;
}

}  // namespace

TEST_CASE("faults.a round trip takes 300 ms: many are in flight, and each gets its own answer") {
  constexpr std::uint32_t kInFlight = 128;
  for (const auto* version : {"1.2", "1.3"}) {
    CAPTURE(version);
    Scene scene([](config::Config& config) { set_in_flight_max(config, kInFlight); }, version, delay_both);
    scene.begin();
    scene.proxy.stall(Way::to_engine, 0);  // until all of them are under way at once
    scene.submit(kInFlight);
    scene.await_in_flight(kInFlight);
    scene.proxy.go_on(Way::to_engine);
    CHECK(count_ended(scene.take(kInFlight), TMX_ANSWERED) == kInFlight);
    await([&] { return scene.facts().answered == kInFlight; });
    CHECK(scene.facts().handshakes == 1);
    scene.end();
  }
}

TEST_CASE("faults.one way stalls during the handshake: NOT_SENT and why, and sessions when it goes on") {
  struct Stall {
    Way way;
    std::uint32_t bytes;
  };
  // Before the first byte, and within the first message of each side.
  for (const auto& [way, bytes] :
       {Stall{Way::to_host, 0}, Stall{Way::to_host, 60}, Stall{Way::to_engine, 0}, Stall{Way::to_engine, 60}}) {
    CAPTURE(static_cast<int>(way));
    CAPTURE(bytes);
    Scene scene(
        [](config::Config& config) {
          config.upstreams[0].correlation = {};
          config.upstreams[0].timeouts.handshake_ms = 300;
        },
        "any", [&](DelayProxy& proxy) { proxy.stall_new(way, bytes); });
    check_not_sent(*scene.engine, scene.config, TMX_REASON_HANDSHAKE_TIMEOUT, "the TLS handshake took too long");
    CHECK(count_receipts(scene.receipts()) == 0);
    scene.proxy.go_on(way);
    scene.begin();
    CHECK(count_ended(scene.ask(1), TMX_ANSWERED) == 1);
    scene.end();
  }
}

TEST_CASE(
    "faults.a request stalls in its middle: MAYBE_SENT at its deadline, and the session goes on when it has come") {
  Scene scene;
  scene.begin();
  CHECK(count_ended(scene.ask(1), TMX_ANSWERED) == 1);
  scene.proxy.stall(Way::to_host, 100);
  const auto stalled = scene.ask(3, 1'000);
  CHECK(count_outcomes(stalled, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == 3);
  CHECK(count_receipts(scene.receipts()) == 1);  // what MAYBE_SENT means, this time
  scene.proxy.go_on(Way::to_host);
  scene.await_received(4);  // and this time
  CHECK(count_ended(scene.ask(2), TMX_ANSWERED) == 2);
  await([&] { return scene.facts().late == 3; });
  CHECK(scene.facts().handshakes == 1);
  scene.end();
}

TEST_CASE("faults.an answer stalls in its middle: MAYBE_SENT at its deadline, and the next answers are right") {
  Scene scene;
  scene.begin();
  CHECK(count_ended(scene.ask(1), TMX_ANSWERED) == 1);
  scene.proxy.stall(Way::to_engine, 100);
  const auto stalled = scene.ask(3, 1'000);
  CHECK(count_outcomes(stalled, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == 3);
  scene.await_received(4);
  scene.submit(2);
  scene.proxy.go_on(Way::to_engine);
  CHECK(count_ended(scene.take(2), TMX_ANSWERED) == 2);
  await([&] { return scene.facts().late == 3; });
  CHECK(scene.facts().handshakes == 1);
  scene.end();
}

TEST_CASE("faults.answers stall for longer than a host may be silent: MAYBE_SENT, and another session serves") {
  Scene scene([](config::Config& config) { config.upstreams[0].timeouts.silence_ms = 1'000; });
  scene.begin();
  scene.proxy.stall(Way::to_engine, 100);
  CHECK(count_ended(scene.ask(3), TMX_MAYBE_SENT) == 3);
  CHECK(count_ended(scene.ask(3), TMX_ANSWERED) == 3);
  await([&] { return scene.facts().handshakes == 2; });
  CHECK(scene.proxy.counts().connections == 2);
  scene.end();
}

TEST_CASE(
    "faults.answers are slower than some deadlines: those are MAYBE_SENT, the others get theirs, late ones nobody") {
  Scene scene([](config::Config& config) { set_in_flight_max(config, 64); });
  scene.begin();
  scene.proxy.stall(Way::to_engine, 0);
  for (int i = 0; i < 20; ++i) {
    scene.submit(1, 500);
    scene.submit(1);
  }
  const auto taken = scene.take(20);  // those whose deadlines have passed
  const auto maybe = count_outcomes(taken, TMX_MAYBE_SENT, TMX_REASON_DEADLINE);
  CHECK(maybe > 0);
  for (const auto& ended : taken) CHECK(ended.tag % 2 == 1);
  scene.proxy.set(Way::to_engine, {.delay_us = 200'000, .jitter_us = 100'000});
  scene.proxy.go_on(Way::to_engine);
  CHECK(count_ended(scene.take(20), TMX_ANSWERED) == 20);
  scene.proxy.set(Way::to_engine, {});
  CHECK(count_ended(scene.ask(4), TMX_ANSWERED) == 4);
  await([&] { return scene.facts().late == maybe; });
  const auto facts = scene.facts();
  CHECK(facts.unsolicited == 0);
  CHECK(facts.handshakes == 1);
  scene.end();
}

TEST_CASE("faults.a narrow line: it takes its time, and all are answered") {
  Scene scene([](config::Config& config) { set_in_flight_max(config, 64); });
  scene.begin();
  for (const auto way : {Way::to_host, Way::to_engine}) scene.proxy.set(way, {.bytes_per_s = 64 * 1024});
  CHECK(count_ended(scene.ask(40), TMX_ANSWERED) == 40);
  await([&] { return scene.facts().answered == 40; });
  CHECK(scene.facts().handshakes == 1);
  scene.end();
}

TEST_CASE("faults.a line takes no more in the middle of a record: what it had not taken is NOT_SENT, and never comes") {
  constexpr std::uint32_t kRequests = 400;
  constexpr std::size_t kBytes = 65'000;  // in all more than the proxy and the kernel's buffers hold
  Scene scene([](config::Config& config) {
    set_large_messages(config);
    set_in_flight_max(config, kRequests);
    config.groups[0].memory.channels_per_client = 1;
    config.upstreams[0].timeouts.write_stall_ms = 60'000;
  });
  scene.message_bytes = kBytes;
  scene.begin();
  scene.proxy.stall(Way::to_host, 100);
  scene.submit(kRequests, 1'500);
  const auto taken = scene.take(kRequests);
  const auto maybe = count_outcomes(taken, TMX_MAYBE_SENT, TMX_REASON_DEADLINE);
  CHECK(maybe > 0);
  CHECK(maybe < kRequests);
  CHECK(count_ended(taken, TMX_NOT_SENT) == kRequests - maybe);
  CHECK(count_receipts(scene.receipts()) == 0);
  scene.proxy.go_on(Way::to_host);
  scene.await_received(maybe);
  scene.submit(2);
  CHECK(count_ended(scene.take(2), TMX_ANSWERED) == 2);
  await([&] { return scene.facts().answered == 2; });
  CHECK(scene.facts().handshakes == 1);
  scene.end();
}

TEST_CASE("faults.what the kernel has sent is lost on its way: MAYBE_SENT although no host has seen it") {
  Scene scene([](config::Config& config) { config.upstreams[0].timeouts.connect_ms = 500; });
  scene.begin();
  scene.proxy.set(Way::to_host, {.delay_us = 60'000'000});
  scene.submit(5);
  await([&] { return scene.proxy.counts().waiting[0] > 5 * kLargeBytes; });
  scene.proxy.kill();
  CHECK(count_ended(scene.take(5), TMX_MAYBE_SENT) == 5);
  CHECK(count_receipts(scene.receipts()) == 0);
  CHECK(count_outcomes(scene.ask(2), TMX_NOT_SENT, TMX_REASON_CONNECT_REFUSED) == 2);
  scene.end();
}

TEST_CASE("faults.one way ends and the other goes on: what is in flight is MAYBE_SENT, and the next session serves") {
  for (const auto way : {Way::to_engine, Way::to_host}) {
    CAPTURE(static_cast<int>(way));
    Scene scene;
    scene.begin();
    scene.proxy.stall(Way::to_engine, 0);
    scene.submit(4);
    scene.await_received(4);
    scene.proxy.end(way);
    scene.proxy.go_on(Way::to_engine);
    const auto taken = scene.take(4);
    // A host that reads the end of the stream may still send what it had to say before.
    CHECK(count_ended(taken, TMX_MAYBE_SENT) + (way == Way::to_host ? count_ended(taken, TMX_ANSWERED) : 0) == 4);
    // Until the host has ended its way, too, the first session may still be asked.
    await([&] { return count_ended(scene.ask(1), TMX_ANSWERED) == 1; });
    await([&] { return scene.facts().handshakes == 2; });
    scene.end();
  }
}

TEST_CASE("faults.a host ends and nobody tells the engine: given up for silence, and another one serves") {
  Scene scene([](config::Config& config) { config.upstreams[0].timeouts.silence_ms = 1'000; });
  scene.begin();
  CHECK(count_ended(scene.ask(1), TMX_ANSWERED) == 1);
  scene.proxy.hide_ends();
  const auto listen = scene.host.address();
  scene.host.kill();
  CHECK(count_ended(scene.ask(4), TMX_MAYBE_SENT) == 4);
  const auto line = scene.engine->log().wait_for("event=session_lost");
  CHECK_MESSAGE(line.find("silen") != std::string::npos, line);
  const auto second_record = scene.folder.path() + "/second";
  host::HostProcess second({"--mode", "echo", "--listen", listen, "--record", second_record});
  std::vector<Ended> answered;
  await([&] {
    answered = scene.ask(1);
    return answered[0].outcome == TMX_ANSWERED;
  });
  CHECK(scene.engine->stop() == 0);
  CHECK(second.stop() == 0);
  check_truth(scene.all, read_host_records({scene.record, second_record}), kLargeBytes);
}

}  // namespace tlsmux::test
