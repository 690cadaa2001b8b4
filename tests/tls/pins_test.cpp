#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "config/key_pin.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using config::parse_pin;
using config::pin_text;
using engine::tls::TlsError;
using shm::Reason;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

std::expected<void, TlsError> try_pins(const std::vector<std::string>& pins, const Identity& identity,
                                       const HostSettings& host_settings, bool verify_peer = true) {
  config::TlsSettings settings;
  settings.verify_peer = verify_peer;
  settings.pins = pins;
  OpenSslHost host(identity, host_settings);
  const auto client = make_client(settings, verify_peer ? trusting_material() : engine::tls::TlsMaterial{});
  TlsPair pair(*client, host);
  auto done = pair.shake_hands();
  if (done) {
    pair.seal({"hello"});
    CHECK(pair.host().received() == "hello");
  } else {
    CHECK(pair.host().failed());
    CHECK(pair.host().received().empty());
  }
  return done;
}

HostSettings only(int version) { return {.version_min = version, .version_max = version}; }

TEST_CASE("tls.pins let the host's own key pass, whatever its kind") {
  for (const int version : kVersions) {
    for (const KeyKind kind : {KeyKind::p256, KeyKind::p384, KeyKind::rsa}) {
      const Identity& identity = host_identity(kind);
      CHECK(try_pins({identity.pin()}, identity, only(version)));
      CHECK(try_pins({identity.pin()}, identity, only(version), false));
    }
  }
}

TEST_CASE("tls.pins refuse another key, and say what the pin would be") {
  const Identity other = authority().issue({});
  for (const int version : kVersions) {
    for (const bool verify_peer : {true, false}) {
      const auto done = try_pins({other.pin()}, host_identity(), only(version), verify_peer);
      REQUIRE_FALSE(done);
      CHECK(done.error().reason == Reason::certificate_pin_mismatch);
      CHECK(
          done.error().words.contains("a key that none of the pins allows: its own would be " + host_identity().pin()));
    }
  }
}

TEST_CASE("tls.pins may hold others, such as that of the next key") {
  const Identity next = authority().issue({});
  CHECK(try_pins({next.pin(), host_identity().pin()}, host_identity(), {}));
}

TEST_CASE("tls.pins of a CA let pass what it has issued, if the chain is verified") {
  const Authority intermediate = authority().issue_authority("an intermediate authority");
  const Identity identity = intermediate.issue({});
  const HostSettings settings{.intermediate = &intermediate};
  CHECK(try_pins({authority().identity().pin()}, identity, settings));
  CHECK(try_pins({intermediate.identity().pin()}, identity, settings));
  CHECK_FALSE(try_pins({intermediate.identity().pin()}, host_identity(), {}));
  // Anybody can show a certificate of somebody else's behind an own one.
  CHECK_FALSE(try_pins({intermediate.identity().pin()}, identity, settings, false));
}

TEST_CASE("tls.pins do not make up for a certificate that does not verify") {
  const Authority stranger("a stranger");
  const Identity identity = stranger.issue({});
  const auto done = try_pins({identity.pin()}, identity, {});
  REQUIRE_FALSE(done);
  CHECK(done.error().words.contains("no CA that is trusted"));
  CHECK(try_pins({identity.pin()}, identity, {}, false));
}

TEST_CASE("tls.pins let the same key pass in an expired certificate where nothing else is verified") {
  const Identity expired = authority().issue({.starts_s = -200'000, .ends_s = -100'000});
  CHECK(try_pins({expired.pin()}, expired, only(TLS1_2_VERSION), false));
  CHECK(try_pins({expired.pin()}, expired, only(TLS1_3_VERSION), false));
}

TEST_CASE("tls.pins are read strictly") {
  const std::string good = host_identity().pin();
  const auto hash = parse_pin(good);
  REQUIRE(hash);
  CHECK(pin_text(*hash) == good);
  CHECK(pin_text(config::KeyHash{}) == "sha256/" + std::string(43, 'A') + "=");
  config::KeyHash ones{};
  ones.fill(0xff);
  CHECK(pin_text(ones) == "sha256/" + std::string(42, '/') + "8=");
  CHECK(parse_pin(pin_text(ones)) == ones);

  CHECK_FALSE(parse_pin(""));
  CHECK_FALSE(parse_pin("sha256/"));
  CHECK_FALSE(parse_pin(good.substr(0, good.size() - 1)));
  CHECK_FALSE(parse_pin(good + "="));
  CHECK_FALSE(parse_pin("SHA256/" + good.substr(7)));
  CHECK_FALSE(parse_pin("sha1/" + good.substr(7)));
  CHECK_FALSE(parse_pin("sha256//" + good.substr(8, 41) + "=" + "="));
  CHECK_FALSE(parse_pin("sha256/" + std::string(42, '/') + "9="));  // bits behind the end
  CHECK_FALSE(parse_pin("sha256/" + std::string(42, 'A') + "-="));  // of Base64's URL form
  CHECK_FALSE(parse_pin("sha256/" + std::string(42, 'A') + " ="));
}

}  // namespace
}  // namespace tlsmux::test
