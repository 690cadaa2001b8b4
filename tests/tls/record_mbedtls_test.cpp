// Our records against mbedTLS's own, in both roles.
#include <doctest/doctest.h>

#include <utility>

#include "tests/tls/mbedtls_end.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::OpenState;
using engine::tls::Role;

struct MbedtlsPair {
  explicit MbedtlsPair(const VersionAndSuite& suite) : client(Role::client, suite), server(Role::server, suite) {
    Bytes to_server;
    Bytes to_client;
    bool client_is_done = client.handshake({}, to_server);
    bool server_is_done = false;
    while (!client_is_done || !server_is_done) {
      if (!server_is_done) server_is_done = server.handshake(std::exchange(to_server, {}), to_client);
      if (!client_is_done) client_is_done = client.handshake(std::exchange(to_client, {}), to_server);
      REQUIRE((client_is_done || server_is_done || !to_server.empty()));
    }
    // The tickets of TLS 1.3 are still on their way.
    behind_handshake = client.unread();
    behind_handshake.insert(behind_handshake.end(), to_client.begin(), to_client.end());
  }
  MbedtlsEnd client;
  MbedtlsEnd server;
  Bytes behind_handshake;
};

void talk(RecordEnd& ours, MbedtlsEnd& theirs) {
  for (const std::size_t size : {1, 2, 16, 300, 4096, 16'000}) {
    REQUIRE(ours.seal(pattern(size)));
    const auto read = theirs.read(ours.take_output());
    CHECK(read.code == 0);
    CHECK(read.text == pattern(size));
    const auto before = ours.received().size();
    REQUIRE(ours.open(theirs.write(pattern(size)), size > 1000 ? 100 : 1) == OpenState::open);
    CHECK(ours.received().substr(before) == pattern(size));
  }
  CHECK(ours.open(theirs.close_notify()) == OpenState::closed_by_peer);
  ours.layer().close_notify(ours.wire());
  CHECK(theirs.read(ours.take_output()).code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
}

TEST_CASE("record.takeover of the client's side is not noticed by an mbedTLS server") {
  for (const auto& suite : kRecordSuites) {
    for (const auto library : usable_libraries()) {
      MbedtlsPair pair(suite);
      RecordEnd ours(pair.client.state(), library);
      REQUIRE(ours.open(pair.behind_handshake) == OpenState::open);
      CHECK(ours.tickets().size() == (suite.version == engine::tls::kTls13 ? 2 : 0));
      talk(ours, pair.server);
    }
  }
}

TEST_CASE("record.takeover of the server's side is not noticed by an mbedTLS client") {
  for (const auto& suite : kRecordSuites) {
    for (const auto library : usable_libraries()) {
      MbedtlsPair pair(suite);
      REQUIRE(pair.client.read(pair.behind_handshake).code == 0);
      const auto state = pair.server.state();
      const std::uint64_t sent_already = suite.version == engine::tls::kTls13 ? 2 : 1;  // tickets, or the Finished
      CHECK(state.send_sequence == sent_already);
      RecordEnd ours(state, library);
      talk(ours, pair.client);
    }
  }
}

TEST_CASE("record.takeover of both sides at any time gives the same as mbedTLS goes on with") {
  for (const auto& suite : kRecordSuites) {
    MbedtlsPair pair(suite);
    REQUIRE(pair.client.read(pair.behind_handshake).code == 0);
    for (int i = 0; i < 10; ++i) REQUIRE(pair.server.read(pair.client.write("request")).text == "request");
    for (int i = 0; i < 7; ++i) REQUIRE(pair.client.read(pair.server.write("answer")).text == "answer");
    RecordEnd client(pair.client.state());
    RecordEnd server(pair.server.state());
    REQUIRE(client.seal("more"));
    REQUIRE(server.open(client.take_output()));
    CHECK(server.received() == "more");
    REQUIRE(server.seal("and more"));
    REQUIRE(client.open(server.take_output()));
    CHECK(client.received() == "and more");
  }
}

}  // namespace
}  // namespace tlsmux::test
