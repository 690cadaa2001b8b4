#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/host/host_process.hpp"
#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/iso8583_request.hpp"
#include "tests/host/record.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"

using namespace tlsmux::host;

namespace {

nlohmann::json stop_and_read(HostProcess& host, const std::string& report) {
  CHECK(host.stop() == 0);
  return nlohmann::json::parse(read_file(report));
}

}  // namespace

TEST_CASE("host.answers every kind of request and echoes its fields") {
  TemporaryFolder folder;
  HostProcess host({"--record", folder.path("record"), "--report", folder.path("report")});
  TestClient client(host.port());
  const std::vector<std::pair<std::string, std::string>> types = {{"0100", "0110"}, {"0200", "0210"}, {"0400", "0410"},
                                                                  {"0420", "0430"}, {"0401", "0410"}, {"0421", "0430"}};
  std::uint32_t trace_number = 0;
  for (const auto& [type, answer_type] : types) {
    CAPTURE(type);
    const std::string asked = request(++trace_number, type);
    client.send_frame(asked);
    const std::string answer = next_frame(client);
    const auto message = parse(answer);
    REQUIRE(message.has_value());
    CHECK(message->type == answer_type);
    for (const unsigned number : {2U, 3U, 4U, 7U, 11U, 12U, 13U, 32U, 37U, 41U, 42U, 49U}) {
      CHECK(message->field(number) == field(asked, number));
    }
    CHECK(message->field(39) == "00");
    CHECK(message->has(38) == (type[1] != '4'));
    CHECK_FALSE(message->has(14));
  }
  client.send_frame(build_network_management("301", 99, std::chrono::sys_days(std::chrono::year(2026) / 7 / 13)));
  const std::string echo_test = next_frame(client);
  CHECK(echo_test.substr(0, 4) == "0810");
  CHECK(field(echo_test, 11) == "000099");
  CHECK(field(echo_test, 70) == "301");

  const auto report = stop_and_read(host, folder.path("report"));
  CHECK(client.await_end() == End::close_notify);
  CHECK(report["connections"] == 1);
  CHECK(report["handshakes_full"] == 1);
  CHECK(report["received"] == 7);
  CHECK(report["answered"] == 7);
  CHECK(report["refused"] == 0);
  CHECK(report["messages_by_type"]["0421"] == 1);
  CHECK(report["tls_versions"]["TLSv1.3"] == 1);
}

TEST_CASE("host.records each message before it answers, so that a kill loses nothing") {
  TemporaryFolder folder;
  HostProcess host({"--record", folder.path("record")});
  TestClient client(host.port());
  const std::string asked = request(42);
  client.send_frame(asked);
  client.send_frame("nonsense");
  client.send_frame(request(43));
  CHECK(field(next_frame(client), 11) == "000042");
  CHECK(field(next_frame(client), 11) == "000043");
  const auto pid = host.pid();
  host.kill();

  std::istringstream record(read_file(folder.path("record")));
  std::string line;
  REQUIRE(std::getline(record, line));
  CHECK(line == "started " + std::to_string(pid));
  std::ostringstream expected;
  expected << "received 1 1 " << hex("000042TERM0001") << ' ' << asked.size() << ' ' << std::hex;
  expected.width(16);
  expected.fill('0');
  expected << fnv1a64(asked);
  REQUIRE(std::getline(record, line));
  CHECK(line == expected.str());
  REQUIRE(std::getline(record, line));
  CHECK(line.starts_with("received 1 2 - 8 "));
  REQUIRE(std::getline(record, line));
  CHECK(line.starts_with("received 1 3 " + hex("000043TERM0001")));
  CHECK_FALSE(std::getline(record, line));
  CHECK(fnv1a64("") == 0xcbf29ce484222325);
  CHECK(fnv1a64("foobar") == 0x85944171f73967e8);  // from the authors' list of test vectors
}

TEST_CASE("host.keeps the order of answers unless told otherwise") {
  constexpr std::uint32_t kCount = 300;
  {
    HostProcess host({"--delay-us", "500", "--jitter-us", "20000"});
    const auto order = answer_order(host, kCount);
    CHECK(std::ranges::is_sorted(order));
  }
  HostProcess host({"--delay-us", "500", "--jitter-us", "20000", "--out-of-order"});
  auto order = answer_order(host, kCount);
  CHECK_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  CHECK(std::set(order.begin(), order.end()).size() == kCount);
  CHECK(order.back() == kCount);
}

TEST_CASE("host.refuses, keeps silent and repeats itself as often as told, alike for one seed") {
  const auto run = [](const std::string& seed) {
    TemporaryFolder folder;
    HostProcess host({"--refuse-percent", "30", "--silent-percent", "20", "--duplicate-percent", "10", "--seed", seed,
                      "--report", folder.path("report")});
    TestClient client(host.port());
    for (std::uint32_t i = 1; i <= 1000; ++i) client.send_frame(request(i));
    client.close_notify();
    std::string answers;
    std::size_t refused = 0;
    std::size_t frames = 0;
    while (const auto frame = client.receive_frame()) {
      ++frames;
      refused += field(*frame, 39) == "05" ? 1 : 0;
      CHECK(parse(*frame)->has(38) == (field(*frame, 39) == "00"));
      answers += *frame;
    }
    const auto report = stop_and_read(host, folder.path("report"));
    CHECK(report["received"] == 1000);
    CHECK(report["answered"].get<std::size_t>() + report["silenced"].get<std::size_t>() == 1000);
    CHECK(report["answered"].get<std::size_t>() + report["duplicated"].get<std::size_t>() == frames);
    // Each is eight standard deviations wide or more.
    CHECK(report["silenced"] > 100);
    CHECK(report["silenced"] < 300);
    CHECK(report["duplicated"] > 15);
    CHECK(report["duplicated"] < 160);
    CHECK(refused > 130);
    CHECK(refused < 420);
    CHECK(report["closed_by_peer"] == 1);
    return answers;
  };
  const std::string first = run("7");
  CHECK(first == run("7"));
  CHECK(first != run("8"));
}

TEST_CASE("host.closes after N messages, in order or hard") {
  TemporaryFolder folder;
  HostProcess host({"--close-after", "3", "--record", folder.path("record")});
  for (int connection = 0; connection < 2; ++connection) {
    TestClient client(host.port());
    client.send(client.framed(request(1)) + client.framed(request(2)) + client.framed(request(3)) +
                client.framed(request(4)));
    CHECK(field(next_frame(client), 11) == "000001");
    CHECK(field(next_frame(client), 11) == "000002");
    CHECK_FALSE(client.receive_frame().has_value());
    CHECK(client.await_end() == End::close_notify);
  }
  // What came after the decision is on record too, as received.
  const std::string record = read_file(folder.path("record"));
  CHECK(std::ranges::count(record, '\n') == 1 + 2 * 4);

  HostProcess hard({"--close-after", "1", "--close-hard"});
  TestClient client(hard.port());
  client.send_frame(request(1));
  CHECK(client.await_end() == End::reset);
}

TEST_CASE("host.sends what nobody asked for") {
  TemporaryFolder folder;
  HostProcess host({"--unsolicited-every", "2", "--report", folder.path("report")});
  TestClient client(host.port());
  client.send(client.framed(request(1)) + client.framed(request(2)));
  CHECK(field(next_frame(client), 11) == "000001");
  const std::string unsolicited = next_frame(client);
  CHECK(unsolicited.substr(0, 4) == "0800");
  CHECK(field(unsolicited, 70) == "301");
  CHECK(field(next_frame(client), 11) == "000002");
  client.send_frame(answer_to(unsolicited));
  client.send_frame(request(3));  // the fourth message received
  const std::string second = next_frame(client);
  CHECK(second.substr(0, 4) == "0800");
  CHECK(field(second, 11) != field(unsolicited, 11));
  CHECK(field(next_frame(client), 11) == "000003");
  const auto report = stop_and_read(host, folder.path("report"));
  CHECK(report["unsolicited"] == 2);
  CHECK(report["unsolicited_answered"] == 1);
  CHECK(report["unsolicited_unanswered"] == 1);
  CHECK(report["responses"] == 1);
  CHECK(report["answered"] == 3);
}

TEST_CASE("host.sends a header longer than any limit") {
  HostProcess host({"--oversize-after", "2"});
  TestClient client(host.port());
  client.send_frame(request(1));
  next_frame(client);
  client.send_frame(request(2));
  CHECK(client.receive_bytes(2).substr(0, 2) == "\xff\xff");
}

TEST_CASE("host.ignores or closes on what is not ISO 8583, and closes on broken frames") {
  TemporaryFolder folder;
  HostProcess host({"--on-unparsable", "close", "--message-bytes-max", "200", "--report", folder.path("report")});
  TestClient nonsense(host.port());
  nonsense.send_frame("0100zzz");
  CHECK(nonsense.await_end() == End::close_notify);
  TestClient oversize(host.port());
  oversize.send_frame(std::string(201, 'x'));
  CHECK(oversize.await_end() == End::close_notify);
  const auto report = stop_and_read(host, folder.path("report"));
  CHECK(report["unparsable"] == 1);
  CHECK(report["unparsable_reasons"]["field 1 at byte 4: the message ends within the bitmap"] == 1);
  CHECK(report["framing_errors"] == 1);
  CHECK(report["closed_by_host"] == 2);
}

TEST_CASE("host.stops reading from a client that does not read") {
  HostProcess host({"--mode", "echo"});
  TestClient client(host.port());
  const std::string frame = client.framed(std::string(60'000, 'e'));
  std::string all;
  for (int i = 0; i < 1000; ++i) all += frame;
  const std::size_t taken = client.send_until_refused(all);
  REQUIRE(taken < all.size() - 2 * frame.size());
  for (std::size_t i = 0; i < taken / frame.size(); ++i) CHECK(next_frame(client).size() == 60'000);
  // To the end of the next frame: OpenSSL wants to hear at least what it could not send.
  client.send(std::string_view(all).substr(taken, 2 * frame.size() - taken % frame.size()));
  for (int i = 0; i < 2; ++i) CHECK(next_frame(client).size() == 60'000);
}

TEST_CASE("host.keeps to a TLS version, knows its clients and resumes their sessions") {
  TemporaryFolder folder;
  for (const auto& [name, version] : {std::pair("1.2", TlsVersion::v1_2), std::pair("1.3", TlsVersion::v1_3)}) {
    CAPTURE(name);
    const std::vector<std::string> arguments = {"--tls",
                                                name,
                                                "--client-certificate",
                                                "require",
                                                "--ca",
                                                certificate_file("ca.pem"),
                                                "--ticket-keys",
                                                folder.path("tickets"),
                                                "--report",
                                                folder.path("report")};
    const auto other = version == TlsVersion::v1_2 ? TlsVersion::v1_3 : TlsVersion::v1_2;
    ClientOptions options = {.version = version,
                             .certificate_file = certificate_file("client.pem"),
                             .key_file = certificate_file("client.key")};
    SslSession session;
    {
      HostProcess host(arguments);
      CHECK_THROWS(TestClient(host.port(), {.version = other}));
      // In TLS 1.3 the client learns only later that its missing certificate was not accepted.
      CHECK_THROWS([&] {
        TestClient stranger(host.port(), {.version = version});
        stranger.await_end();
      }());
      TestClient client(host.port(), options);
      client.send_frame(request(1));
      next_frame(client);  // TLS 1.3 tickets have come before this
      session = client.session();
      client.close_notify();
      const auto report = stop_and_read(host, folder.path("report"));
      CHECK(report["handshakes_full"] == 1);
      CHECK(report["handshakes_failed"] == 2);
      CHECK(report["client_certificates"]["CN=tlsmux-client"] == 1);
      CHECK(report["tls_versions"].size() == 1);
    }
    HostProcess restarted(arguments);
    options.session = session.get();
    TestClient client(restarted.port(), options);
    client.send_frame(request(2));
    next_frame(client);
    const auto report = stop_and_read(restarted, folder.path("report"));
    CHECK(report["handshakes_full"] == 0);
    CHECK(report["handshakes_resumed"] == 1);
  }
}

TEST_CASE("host.takes no more connections than told, or never shakes hands") {
  TemporaryFolder folder;
  HostProcess host({"--connections-max", "1", "--report", folder.path("report")});
  TestClient first(host.port());
  CHECK_THROWS(TestClient(host.port()));
  first.send_frame(request(1));
  next_frame(first);
  ::kill(host.pid(), SIGUSR1);
  const std::string early = await_file(folder.path("report"));
  CHECK(nlohmann::json::parse(early)["connections_open"] == 1);
  const auto report = stop_and_read(host, folder.path("report"));
  CHECK(report["connections_refused"] == 1);
  CHECK(report["received"] == 1);

  HostProcess stalling({"--handshake-stall", "--report", folder.path("report")});
  CHECK_THROWS_WITH(TestClient(stalling.port(), {.handshake_seconds = 1}), doctest::Contains("handshake"));
  CHECK(stop_and_read(stalling, folder.path("report"))["connections_stalled"] == 1);
}

TEST_CASE("host.outlives clients that vanish or talk no TLS") {
  TemporaryFolder folder;
  HostProcess host({"--report", folder.path("report"), "--delay-us", "1000"});
  for (int i = 0; i < 5; ++i) TestClient(host.port()).send_frame(request(1));
  CHECK_THROWS(TestClient(host.port(), {.greeting = "GET / HTTP/1.0\r\n\r\n"}));
  TestClient client(host.port());
  client.send_frame(request(2));
  CHECK(field(next_frame(client), 11) == "000002");
  const auto report = stop_and_read(host, folder.path("report"));
  CHECK(report["connections"] == 7);
  CHECK(report["connections_broken"] == 5);
  CHECK(report["handshakes_failed"] == 1);
  CHECK(report["handshake_failures"]["http request"] == 1);
}

TEST_CASE("host.says what is wrong with its arguments") {
  CHECK_THROWS(HostProcess({"--certificate", "/nonexistent"}));
  CHECK_THROWS(HostProcess({"--key", certificate_file("client.key")}));
  CHECK_THROWS(HostProcess({"--listen", "localhost:0"}));
  CHECK_THROWS(HostProcess({"--out-of-order"}));
  CHECK_THROWS(HostProcess({"--client-certificate", "require"}));
  CHECK_THROWS(HostProcess({"--ciphers", "NO-SUCH-SUITE"}));
  CHECK_THROWS(HostProcess({"--record", "/nonexistent/record"}));
}
