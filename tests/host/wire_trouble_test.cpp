// The troubles that the host makes below its messages do happen, as an OpenSSL client sees them.

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "tests/host/host_process.hpp"
#include "tests/host/test_client.hpp"

using namespace tlsmux::host;

namespace {

const std::vector<std::string> kVersions = {"1.2", "1.3"};

HostProcess echo(const std::string& version, std::vector<std::string> trouble) {
  trouble.insert(trouble.end(), {"--mode", "echo", "--tls", version});
  return HostProcess(trouble);
}

}  // namespace

TEST_CASE("host.resets a connection during its handshake") {
  for (const auto& version : kVersions) {
    CAPTURE(version);
    auto host = echo(version, {"--handshake-reset"});
    CHECK_THROWS_WITH(TestClient(host.port()), doctest::Contains("the handshake failed"));
    const auto report = host.await_count("connections_broken", 1);
    CHECK(report.count("handshakes_full") == 0);
    CHECK(report.counts("connection_failures").empty());  // it was not the client's fault
  }
}

TEST_CASE("host.sends what is no TLS instead of an answer") {
  for (const auto& version : kVersions) {
    CAPTURE(version);
    auto host = echo(version, {"--garbage-after", "2"});
    TestClient client(host.port());
    client.send_frame("one");
    CHECK(client.receive_frame() == "one");
    client.send_frame("two");
    CHECK_THROWS_WITH(client.receive_frame(), doctest::Contains("cannot receive: "));
    CHECK(host.report().count("received") == 2);
  }
}

TEST_CASE("host.asks for a new handshake in TLS 1.2, and goes on with it") {
  auto host = echo("1.2", {"--renegotiate-after", "2"});
  TestClient client(host.port());
  for (const auto* text : {"one", "two", "three"}) {
    client.send_frame(text);
    CHECK(client.receive_frame() == text);
  }
  CHECK(SSL_num_renegotiations(const_cast<SSL*>(client.ssl())) == 1);
  const auto report = host.report();
  CHECK(report.count("renegotiations_asked") == 1);
  CHECK(report.count("connections") == 1);
}

TEST_CASE("host.learns that a client refuses a new handshake") {
  auto host = echo("1.2", {"--renegotiate-after", "1"});
  TestClient client(host.port(), {.refuses_renegotiation = true});
  client.send_frame("one");
  CHECK_THROWS(client.receive_frame() && client.receive_frame());
  const auto report = host.await_count("connections_broken", 1);
  CHECK(report.count_of("connection_failures", "no renegotiation") == 1);
}

TEST_CASE("host.asks for new keys in TLS 1.3, and goes on with them") {
  auto host = echo("1.3", {"--renegotiate-after", "2"});
  TestClient client(host.port());
  for (const auto* text : {"one", "two", "three"}) {
    client.send_frame(text);
    CHECK(client.receive_frame() == text);
  }
  CHECK(host.report().count("renegotiations_asked") == 1);
}

TEST_CASE("host.sends each byte in a record of its own") {
  for (const auto& version : kVersions) {
    CAPTURE(version);
    auto host = echo(version, {"--byte-records"});
    TestClient client(host.port());
    client.send_frame("abc");
    std::string bytes;
    while (bytes.size() < client.framed("abc").size()) {
      const auto record = client.receive_bytes(1);
      REQUIRE(record.size() == 1);
      bytes += record;
    }
    CHECK(bytes == client.framed("abc"));
  }
}

TEST_CASE("host.sends a megabyte of records without data instead of an answer") {
  auto host = echo("1.3", {"--chatter-after", "2"});
  TestClient client(host.port());
  client.send_frame("one");
  CHECK(client.receive_frame() == "one");
  client.send_frame("two");
  client.send_frame("three");
  CHECK(client.receive_frame() == "three");  // OpenSSL takes any number of them
  CHECK(BIO_number_read(SSL_get_rbio(client.ssl())) > (1 << 20));
  CHECK(host.report().count("answered") == 2);
}
