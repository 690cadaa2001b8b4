// Hosts that are wrong below the messages: in TCP and in TLS.

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/faults/truth.hpp"
#include "tests/faults/unusable_host.hpp"

namespace tlsmux::test {
namespace {

const std::vector<std::string> kVersions = {"1.2", "1.3"};
constexpr std::uint64_t kRequests = 8;

std::vector<std::string> echo(const std::string& version, const std::vector<std::string>& trouble) {
  std::vector<std::string> arguments = {"--mode", "echo", "--tls", version};
  arguments.insert(arguments.end(), trouble.begin(), trouble.end());
  return arguments;
}

void use_keys(config::Config& config) { set_keyed(config.upstreams[0]); }

std::vector<Ended> ask_together(Requester& requester, std::size_t bytes = 64) {
  for (std::uint64_t tag = 1; tag <= kRequests; ++tag) {
    CHECK(requester.submit(keyed_message(tag, bytes), tag, 20'000) == 0);
  }
  return requester.take(kRequests);
}

}  // namespace

TEST_CASE("faults.the host resets connections during the handshake") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--mode", "echo", "--handshake-reset"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  check_not_sent(engine, config, TMX_REASON_HANDSHAKE_FAILED, "");
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the host sends what is no TLS: what is in flight is MAYBE_SENT, and the next session works") {
  for (const auto& version : kVersions) {
    CAPTURE(version);
    // The first answers wait long enough for the last request to be there before the garbage is.
    Rig rig(echo(version, {"--garbage-after", "8", "--delay-us", "100000"}), use_keys);
    rig.engine().await_sessions(1);
    Requester requester(rig.config);
    const auto all = ask_together(requester);
    rig.await_received(kRequests);  // the garbage goes out before the host writes its record
    check_truth(all, rig.receipts());
    CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_RECORD_CORRUPT) > 0);
    CHECK(count_ended(all, TMX_NOT_SENT) == 0);
    rig.engine().log().wait_for("reason=record_corrupt");
    CHECK(requester.ask(keyed_message(100)).answer == keyed_message(100));
    rig.stop();
  }
}

// To an OpenSSL host the refusal is an error, for which it ends the connection.
TEST_CASE(
    "faults.the host asks for a new handshake with requests in flight: it is refused, and the next session works") {
  Rig rig(echo("1.2", {"--renegotiate-after", "4", "--delay-us", "500000"}), use_keys);
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  const auto all = ask_together(requester);
  check_truth(all, rig.receipts());
  CHECK(count_ended(all, TMX_MAYBE_SENT) > 0);
  await([&] { return requester.ask(keyed_message(100)).outcome == TMX_ANSWERED; });
  const auto report = rig.host.await_report("the refusal", [](const host::HostReport& now) {
    return now.count("renegotiations_asked") >= 1 &&
           now.count_of("connection_failures", "no renegotiation") == now.count("renegotiations_asked");
  });
  // Nobody has shaken hands twice on one connection.
  CHECK(report.count("handshakes_full") + report.count("handshakes_resumed") == report.count("connections"));
  CHECK(report.connections()[0].end == "broken");
  rig.stop();
}

TEST_CASE("faults.the host asks for new keys with requests in flight, and all are answered") {
  Rig rig(echo("1.3", {"--renegotiate-after", "4"}), use_keys);
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  const auto all = ask_together(requester);
  check_truth(all, rig.receipts());
  CHECK(count_ended(all, TMX_ANSWERED) == kRequests);
  CHECK(requester.ask(keyed_message(100)).answer == keyed_message(100));
  CHECK(rig.await_facts([](const auto& facts) { return facts.answered == kRequests + 1; }).handshakes == 1);
  rig.stop();
}

TEST_CASE("faults.the host sends each byte in a record of its own, and all are answered") {
  for (const auto& version : kVersions) {
    CAPTURE(version);
    Rig rig(echo(version, {"--byte-records"}), use_keys);
    rig.engine().await_sessions(1);
    Requester requester(rig.config);
    constexpr std::size_t kBytes = 1000;
    const auto all = ask_together(requester, kBytes);
    check_truth(all, rig.receipts(), kBytes);
    CHECK(count_ended(all, TMX_ANSWERED) == kRequests);
    CHECK(rig.await_facts([](const auto& facts) { return facts.answered == kRequests; }).handshakes == 1);
    rig.stop();
  }
}

TEST_CASE("faults.the host sends a megabyte of records without data: its session ends, and the next works") {
  Rig rig(echo("1.3", {"--chatter-after", "8", "--delay-us", "100000"}), use_keys);
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  const auto all = ask_together(requester);
  check_truth(all, rig.receipts());
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_RECORD_CORRUPT) > 0);
  CHECK(count_ended(all, TMX_NOT_SENT) == 0);
  const auto line = rig.engine().log().wait_for("event=session_lost");
  CHECK_MESSAGE(line.find("TLS messages without end") != std::string::npos, line);
  CHECK(requester.ask(keyed_message(100)).answer == keyed_message(100));
  rig.stop();
}

TEST_CASE("faults.the host reads nothing more: requests end at their deadlines and are in its record or NOT_SENT") {
  Rig rig({"--mode", "echo", "--stop-reading-after", "3"}, use_keys);
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) CHECK(requester.submit(keyed_message(tag), tag, 20'000) == 0);
  auto all = requester.take(3);
  CHECK(count_ended(all, TMX_ANSWERED) == 3);
  for (std::uint64_t tag = 4; tag <= kRequests; ++tag) CHECK(requester.submit(keyed_message(tag), tag, 1'000) == 0);
  const auto rest = requester.take(kRequests - 3);
  CHECK(count_outcomes(rest, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == kRequests - 3);
  all.insert(all.end(), rest.begin(), rest.end());
  check_truth(all, rig.receipts());
  rig.stop();
}

}  // namespace tlsmux::test
