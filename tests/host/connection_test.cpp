// What the host does with connections, and what it says about them.

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"
#include "tests/host/test_messages.hpp"

using namespace tlsmux::host;

TEST_CASE("host.lists its connections with their handshakes and ends") {
  HostProcess host({"--close-after", "3"});
  TestClient first(host.port());
  ask(first, request(1));
  const SslSession session = first.session();
  CHECK(field(ask(first, network_request("002")), 39) == "00");
  first.close_notify();
  CHECK(first.await_end() == End::close_notify);
  TestClient second(host.port(), {.session = session.get()});
  second.send(second.framed(request(1)) + second.framed(request(2)) + second.framed(request(3)));
  CHECK(second.await_end() == End::close_notify);
  host.await_count("closed_by_host", 1);
  {
    TestClient(host.port()).send_frame(request(1));
  }
  host.await_count("connections_broken", 1);
  TestClient fourth(host.port());
  ask(fourth, request(1));

  const auto report = host.report();
  const auto list = report.connections();
  REQUIRE(list.size() == 4);
  for (std::size_t i = 0; i < list.size(); ++i) {
    CHECK(list[i].number == i + 1);
    CHECK(list[i].source.starts_with("127.0.0.1:"));
    CHECK(list[i].handshake_done_us >= list[i].opened_us);
    CHECK((i == 0 || list[i].opened_us >= list[i - 1].opened_us));
  }
  CHECK(list[0].handshake == "full");
  CHECK(list[0].end == "closed_by_peer");
  CHECK(list[0].close_notify);
  CHECK(list[0].messages == 2);
  CHECK(list[0].sign_offs == 1);
  CHECK(list[0].ended_us >= list[0].handshake_done_us);
  CHECK(list[1].handshake == "resumed");
  CHECK(list[1].end == "closed_by_host");
  CHECK(list[1].messages == 3);
  CHECK(list[2].end == "broken");
  CHECK_FALSE(list[2].close_notify);
  CHECK(list[3].end == "open");
  CHECK(list[3].ended_us == 0);
  CHECK(report.count("closed_after_sign_off") == 1);
  CHECK(report.count_of("source_addresses", "127.0.0.1") == 4);
  CHECK_THROWS(static_cast<void>(report.count("no_such_name")));
}

TEST_CASE("host.counts handshakes in progress, and makes them take time") {
  HostProcess host({"--handshake-delay-ms", "300"});
  {
    // Three that never say anything: their handshakes are in progress until they go.
    std::vector<std::unique_ptr<PlainConnection>> silent;
    for (int i = 0; i < 3; ++i) silent.push_back(std::make_unique<PlainConnection>(host.port()));
    host.await_count("handshakes_in_progress", 3);
    TestClient client(host.port());
    CHECK(field(ask(client, request(1)), 11) == "000001");
    CHECK(host.report().count("handshakes_in_progress") == 3);
  }
  const auto report =
      host.await_report("all gone", [](const HostReport& now) { return now.count("handshakes_in_progress") == 0; });
  CHECK(report.count("handshakes_in_progress_max") == 4);
  CHECK(report.count("connections_open_max") == 4);
  CHECK(report.count("handshakes_full") == 1);
  const auto list = report.connections();
  CHECK(list.at(3).handshake_done_us - list.at(3).opened_us >= 300'000);
}

TEST_CASE("host.has its own key exchange groups and protocols") {
  HostProcess host({"--groups", "secp384r1", "--alpn", "iso8583,other"});
  TestClient client(host.port(), {.alpn = {"http/1.1", "iso8583"}});
  ask(client, request(1));
  CHECK_THROWS(TestClient(host.port(), {.alpn = {"http/1.1"}}));
  CHECK_THROWS(TestClient(host.port(), {.groups = "x25519"}));
  const auto report = host.stop_and_report();
  CHECK(report.count_of("groups", "secp384r1") == 1);
  CHECK(report.count_of("alpn_protocols", "iso8583") == 1);
  CHECK(report.count_of("server_names", "localhost") == 1);
  CHECK(report.count("handshakes_failed") == 2);
  CHECK_THROWS(HostProcess({"--groups", "no-such-group"}));
}

TEST_CASE("host.can be replaced by another at its address") {
  auto host = std::make_unique<HostProcess>();
  const std::string address = host->address();
  CHECK(host->stop() == 0);
  host = std::make_unique<HostProcess>(std::vector<std::string>{"--listen", address});
  CHECK(host->address() == address);
  TestClient client(host->port());
  CHECK(field(ask(client, request(1)), 11) == "000001");
}
