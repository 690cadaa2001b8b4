// Hosts that end sessions while requests are on their way.

#include <csignal>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/host/record.hpp"
#include "tests/system/proc_files.hpp"

namespace tlsmux::test {
namespace {

// Two hosts, one of which closes each connection at its first message, and one request at a time for each session.
void check_close(const std::vector<std::string>& how, tmx_reason reason) {
  const Residue residue;
  const TemporaryFolder folder;
  const auto closing_record = folder.path() + "/closing";
  const auto good_record = folder.path() + "/good";
  std::vector<std::string> arguments = {"--mode", "echo", "--close-after", "1", "--record", closing_record};
  arguments.insert(arguments.end(), how.begin(), how.end());
  const host::HostProcess closing(arguments);
  const host::HostProcess good({"--mode", "echo", "--delay-us", "20000", "--record", good_record});
  auto config = engine_config(folder, {closing.port(), good.port()});
  auto& upstream = config.upstreams[0];
  set_keyed(upstream);
  upstream.sessions = 2;
  upstream.in_flight_max = 1;
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  Requester requester(config);
  constexpr std::uint64_t kRequests = 12;
  for (std::uint64_t tag = 1; tag <= kRequests; ++tag) CHECK(requester.submit(keyed_message(tag), tag) == 0);

  const auto all = requester.take(kRequests);
  const auto closed = count_receipts(read_host_records({closing_record}));
  const auto answered = count_receipts(read_host_records({good_record}));
  CHECK(closed >= 1);
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, reason) == closed);
  CHECK(count_outcomes(all, TMX_ANSWERED, TMX_REASON_NONE) == answered);
  CHECK(closed + answered == kRequests);
  UpstreamFacts facts;
  await([&] {
    facts = upstream_facts(config.groups[0].name, upstream.name);
    return count_of(facts.maybe_sent, static_cast<shm::Reason>(reason)) == closed && facts.answered == answered;
  });
  CHECK(sum(facts.not_sent) == 0);
  CHECK(facts.last_error_reason == static_cast<shm::Reason>(reason));
  CHECK(engine.stop() == 0);
}

}  // namespace

TEST_CASE("faults.a host closes with requests in flight, what was not sent goes to the other session") {
  check_close({}, TMX_REASON_HOST_CLOSED);
}

TEST_CASE("faults.a host resets with requests in flight, what was not sent goes to the other session") {
  check_close({"--close-hard"}, TMX_REASON_CONNECTION_LOST);
}

TEST_CASE("faults.the only host dies: what was sent is MAYBE_SENT, the rest is NOT_SENT") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { config.upstreams[0].in_flight_max = 1; });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 4; ++tag) CHECK(requester.submit("a request", tag) == 0);
  rig.await_received(1);
  rig.host.kill();
  const auto all = requester.take(4);
  CHECK(all[0].tag == 1);
  CHECK(all[0].outcome == TMX_MAYBE_SENT);
  CHECK((all[0].reason == TMX_REASON_HOST_CLOSED || all[0].reason == TMX_REASON_CONNECTION_LOST));
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_CONNECT_REFUSED) == 3);
  CHECK(rig.received() == 1);
  const auto facts = rig.await_facts(
      [](const auto& now) { return now.last_error_reason == shm::Reason::connect_refused && sum(now.not_sent) == 3; });
  CHECK(sum(facts.maybe_sent) == 1);
  CHECK(facts.sessions_ready == 0);
  rig.stop();
}

TEST_CASE("faults.a host comes back and is used again") {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = std::make_unique<host::HostProcess>(std::vector<std::string>{"--mode", "echo"});
  const auto listen = "127.0.0.1:" + std::to_string(host->port());
  const auto config = engine_config(folder, {host->port()});
  EngineProcess engine(folder, config);
  Requester requester(config);
  CHECK(requester.ask("a request").outcome == TMX_ANSWERED);
  host->kill();
  CHECK(requester.ask("a request").outcome != TMX_ANSWERED);
  host = std::make_unique<host::HostProcess>(std::vector<std::string>{"--mode", "echo", "--listen", listen});
  await([&] { return requester.ask("a request").outcome == TMX_ANSWERED; });
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.a host that takes no more bytes is given up") {
  constexpr std::uint64_t kRequests = 400;
  constexpr std::size_t kBytes = 65'000;  // in all more than the kernel buffers of a connection hold
  Rig rig({"--mode", "sink"}, [](config::Config& config) {
    set_large_messages(config);
    set_keyed(config.upstreams[0]);
    config.groups[0].memory.slots_per_channel = 2 * kRequests;
    config.groups[0].memory.channels_per_client = 1;
    config.upstreams[0].in_flight_max = kRequests;
    config.upstreams[0].timeouts.write_stall_ms = 500;
    config.upstreams[0].timeouts.handshake_ms = 500;
  });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  stop_process(rig.host.pid());
  for (std::uint64_t tag = 1; tag <= kRequests; ++tag) {
    requester.submit_surely(keyed_message(tag, kBytes), tag, 60'000);
  }
  const auto all = requester.take(kRequests);
  REQUIRE(::kill(rig.host.pid(), SIGCONT) == 0);
  const auto stalled = count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_WRITE_STALLED);
  CHECK(stalled > 0);
  CHECK(stalled < kRequests);
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_HANDSHAKE_TIMEOUT) == kRequests - stalled);
  rig.engine().log().wait_for("reason=write_stalled");
  rig.stop();
  CHECK(rig.host.stop() == 0);  // it has read all there was to read
  const auto receipts = rig.receipts();
  for (const auto& ended : all) {
    const auto key = host::hex(keyed_message(ended.tag, 16));
    if (ended.outcome == TMX_NOT_SENT) CHECK_MESSAGE(!receipts.contains(key), "request ", ended.tag);
  }
}

}  // namespace tlsmux::test
