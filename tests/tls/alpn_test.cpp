#include <doctest/doctest.h>

#include <array>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

HostSettings speaking(const std::string& protocol, int version) {
  HostSettings settings;
  settings.version_min = version;
  settings.version_max = version;
  settings.protocol = protocol;
  return settings;
}

std::unique_ptr<engine::tls::TlsClient> client_offering(const std::vector<std::string>& protocols) {
  config::TlsSettings settings;
  settings.alpn = protocols;
  return make_client(settings);
}

TEST_CASE("tls.alpn is what the host has chosen of the offer, also in a resumed session") {
  for (const int version : kVersions) {
    const auto client = client_offering({"iso8583/2", "iso8583/1"});
    OpenSslHost host(host_identity(), speaking("iso8583/1", version));
    for (const bool resumed : {false, true}) {
      TlsPair pair(*client, host);
      REQUIRE(pair.shake_hands());
      REQUIRE(pair.open_all());
      CHECK(pair.session().peer_facts().resumed == resumed);
      CHECK(pair.session().peer_facts().alpn == "iso8583/1");
      pair.session().close_notify(pair.wire());
      pair.flush();
    }
  }
}

TEST_CASE("tls.alpn that the host refuses is an error which names the offer") {
  for (const int version : kVersions) {
    const auto client = client_offering({"iso8583/2", "iso8583/1"});
    OpenSslHost host(host_identity(), speaking("h2", version));
    TlsPair pair(*client, host);
    const auto done = pair.shake_hands();
    REQUIRE_FALSE(done);
    CHECK(done.error().reason == shm::Reason::handshake_failed);
    CHECK(done.error().words.contains("none of the protocols offered (alpn), which are iso8583/2, iso8583/1"));
    CHECK(done.error().words.contains("alert no_application_protocol"));
  }
}

TEST_CASE("tls.alpn may be ignored by the host, and is not offered unasked") {
  for (const int version : kVersions) {
    const auto client = client_offering({"iso8583/1"});
    OpenSslHost deaf(host_identity(), speaking("", version));
    TlsPair pair(*client, deaf);
    REQUIRE(pair.shake_hands());
    CHECK(pair.session().peer_facts().alpn.empty());

    const auto plain = make_client();
    OpenSslHost host(host_identity(), speaking("iso8583/1", version));  // would refuse any other offer
    TlsPair other(*plain, host);
    REQUIRE(other.shake_hands());
    CHECK(other.session().peer_facts().alpn.empty());
  }
}

TEST_CASE("tls.alpn with a name that cannot be sent makes no client") {
  config::TlsSettings settings;
  settings.alpn = {std::string(256, 'a')};
  const auto client = engine::tls::make_mbedtls_client(tls_library(), settings, trusting_material());
  REQUIRE_FALSE(client);
  CHECK(client.error().words.contains("alpn cannot be offered"));
}

}  // namespace
}  // namespace tlsmux::test
