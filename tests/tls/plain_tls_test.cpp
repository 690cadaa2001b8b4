#include "tests/support/plain_tls.hpp"

#include <doctest/doctest.h>

#include <string>

namespace tlsmux::test {
namespace {

using engine::tls::HandshakeState;
using engine::tls::OpenState;
using engine::tls::WireBuffer;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Both ends of one connection, joined byte by byte or at once.
struct Pair {
  PlainTlsClient client;
  std::unique_ptr<engine::tls::TlsSession> session = client.start("host.example").value();
  PlainTlsHost host;
  std::vector<std::byte> memory = std::vector<std::byte>(40'000);
  WireBuffer wire{memory};
  std::vector<std::byte> at_host;
  std::string at_client;

  void shake_hands() {
    std::vector<std::byte> to_host;
    std::vector<std::byte> to_client;
    CHECK(session->handshake({}, to_host) == HandshakeState::wants_bytes);
    CHECK(host.receive(to_host, at_host, to_client) == PlainTlsHost::State::open);
    CHECK(session->handshake(to_client, to_host) == HandshakeState::done);
  }
  auto open(std::span<const std::byte> received) {
    std::vector<std::byte> bytes(received.begin(), received.end());
    return session->open(bytes, [&](std::span<const std::byte> piece) { at_client += text_of(piece); }, wire);
  }
};

TEST_CASE("tls.plain stand-in carries data both ways and closes") {
  Pair pair;
  pair.shake_hands();
  CHECK(pair.client.last_server_name() == "host.example");

  const std::string one = "one";
  const std::string two = "two";
  const std::array<std::span<const std::byte>, 2> parts = {bytes_of(one), bytes_of(two)};
  REQUIRE(pair.session->seal(parts, pair.wire));
  std::vector<std::byte> reply;
  pair.host.receive(pair.wire.pending(), pair.at_host, reply);
  CHECK(text_of(pair.at_host) == "onetwo");

  const std::string answer(40'000, 'x');
  std::vector<std::byte> sealed;
  PlainTlsHost::seal(bytes_of(answer), sealed);
  PlainTlsHost::close_notify(sealed);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    const auto state = pair.open(std::span(sealed).subspan(i, 1));
    REQUIRE(state);
    CHECK(*state == (i + 1 == sealed.size() ? OpenState::closed_by_peer : OpenState::open));
  }
  CHECK(pair.at_client == answer);
}

TEST_CASE("tls.plain stand-in fails as scripted on either side") {
  PlainTlsClient client;
  std::vector<std::byte> to_host;
  std::vector<std::byte> to_client;

  auto session = client.start("host").value();
  PlainTlsHost::refuse(shm::Reason::no_common_version, to_client);
  const auto refused = session->handshake(to_client, to_host);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == shm::Reason::no_common_version);

  client.fail_handshakes(engine::tls::TlsError{shm::Reason::certificate_expired, "scripted"});
  session = client.start("host").value();
  to_host.clear();
  to_client.clear();
  REQUIRE(session->handshake({}, to_host));
  PlainTlsHost host;
  std::vector<std::byte> plaintext;
  host.receive(to_host, plaintext, to_client);
  to_host.clear();
  const auto failed = session->handshake(to_client, to_host);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().reason == shm::Reason::certificate_expired);
  CHECK(host.receive(to_host, plaintext, to_client) == PlainTlsHost::State::closed_by_client);
}

TEST_CASE("tls.plain stand-in keeps what came with the hello and refuses garbage") {
  Pair pair;
  std::vector<std::byte> to_host;
  std::vector<std::byte> to_client;
  REQUIRE(pair.session->handshake({}, to_host));
  pair.host.receive(to_host, pair.at_host, to_client);
  PlainTlsHost::seal(bytes_of("early"), to_client);
  CHECK(pair.session->handshake(to_client, to_host) == HandshakeState::done);
  CHECK(pair.open({}) == OpenState::open);
  CHECK(pair.at_client == "early");

  const auto corrupt = pair.open(bytes_of("garbage"));
  REQUIRE_FALSE(corrupt);
  CHECK(corrupt.error().reason == shm::Reason::record_corrupt);
}

}  // namespace
}  // namespace tlsmux::test
