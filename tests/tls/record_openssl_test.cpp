// Our records against OpenSSL's, in both roles.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/tls/mbedtls_end.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::kGcmRecordsMax;
using engine::tls::kTls12;
using engine::tls::kTls13;
using engine::tls::OpenState;
using engine::tls::Role;

std::string openssl_name(std::uint16_t suite) {
  switch (suite) {
    case 0x1301: return "TLS_AES_128_GCM_SHA256";
    case 0x1302: return "TLS_AES_256_GCM_SHA384";
    case 0x1303: return "TLS_CHACHA20_POLY1305_SHA256";
    case 0xC02B: return "ECDHE-ECDSA-AES128-GCM-SHA256";
    case 0xC02C: return "ECDHE-ECDSA-AES256-GCM-SHA384";
    default: return "ECDHE-ECDSA-CHACHA20-POLY1305";
  }
}

HostSettings settings_of(const VersionAndSuite& suite) {
  const bool is_1_3 = suite.version == kTls13;
  const int version = is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  return {.version_min = version,
          .version_max = version,
          .suites_1_2 = is_1_3 ? "" : openssl_name(suite.suite),
          .suites_1_3 = is_1_3 ? openssl_name(suite.suite) : ""};
}

SslContextHandle client_context(const VersionAndSuite& suite) {
  SslContextHandle context(SSL_CTX_new(TLS_client_method()));
  const int version = suite.version == kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  const auto name = openssl_name(suite.suite);
  REQUIRE((version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context.get(), name.c_str())
                                     : SSL_CTX_set_cipher_list(context.get(), name.c_str())) == 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority().certificate());
  return context;
}

// An end of ours, taken over from mbedTLS, and OpenSSL as the other end.
struct OpenSslPair {
  OpenSslPair(Role role, const VersionAndSuite& suite)
      : host(host_identity(), settings_of(suite)),
        context(client_context(suite)),
        theirs(role == Role::client ? host.context() : context.get(),
               role == Role::client ? OpenSslConnection::Side::host : OpenSslConnection::Side::client) {
    MbedtlsEnd end(role, suite);
    Bytes to_theirs;
    bool is_done = end.handshake({}, to_theirs);
    theirs.feed(to_theirs);
    while (!is_done) {
      to_theirs.clear();
      const auto received = theirs.take_output();
      REQUIRE_FALSE(received.empty());
      is_done = end.handshake(received, to_theirs);
      theirs.feed(to_theirs);
    }
    REQUIRE(SSL_is_init_finished(theirs.ssl()) == 1);
    ours = std::make_unique<RecordEnd>(end.state());
    REQUIRE(ours->open(end.unread()));
    REQUIRE(ours->open(theirs.take_output()));
  }

  void send(const std::string& text) {
    const auto before = theirs.received().size();
    REQUIRE(ours->seal(text));
    theirs.feed(ours->take_output());
    REQUIRE_FALSE(theirs.failed());
    REQUIRE(theirs.received().substr(before) == text);
  }
  void receive(const std::string& text, std::size_t step = 1 << 20) {
    const auto before = ours->received().size();
    theirs.write(text);
    REQUIRE(ours->open(theirs.take_output(), step) == OpenState::open);
    REQUIRE(ours->received().substr(before) == text);
  }

  OpenSslHost host;
  SslContextHandle context;
  OpenSslConnection theirs;
  std::unique_ptr<RecordEnd> ours;
};

constexpr std::array kRoles = {Role::client, Role::server};

TEST_CASE("record.data to and from OpenSSL, in both roles, byte by byte and at once") {
  for (const auto& suite : kRecordSuites) {
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      for (const std::size_t size : {1, 2, 16, 300, 4096, 16'000, 16'384}) {
        pair.send(pattern(size));
        pair.receive(pattern(size));
        pair.receive(pattern(size), 1);
      }
      REQUIRE(pair.ours->seal({"one record ", "", "of three slots, ", pattern(9000)}));
      const auto before = pair.theirs.received().size();
      pair.theirs.feed(pair.ours->take_output());
      CHECK(pair.theirs.received().substr(before) == "one record of three slots, " + pattern(9000));
    }
  }
}

TEST_CASE("record.OpenSSL updates its key, asking for ours and not, again and again") {
  for (const auto& suite : kRecordSuites) {
    if (suite.version != kTls13) continue;
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      for (int round = 0; round < 100; ++round) {
        const bool asks = round % 2 == 0;
        const auto before = pair.ours->state().client_secret;
        REQUIRE(SSL_key_update(pair.theirs.ssl(), asks ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        pair.receive("after the update", round % 3 == 0 ? 1 : 1000);
        pair.send("before and after ours");
        pair.send("and on");
        // Both directions, or that of OpenSSL alone.
        CHECK((pair.ours->state().client_secret != before) == (asks || role == Role::server));
      }
    }
  }
}

TEST_CASE("record.OpenSSL asks many times for an update before it hears of one") {
  for (const auto role : kRoles) {
    OpenSslPair pair(role, {kTls13, 0x1301});
    for (int i = 0; i < 20; ++i) {
      REQUIRE(SSL_key_update(pair.theirs.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
      pair.receive("data");
    }
    const auto before = pair.ours->state().send_sequence;
    pair.send("answer");
    CHECK(pair.ours->state().send_sequence == 1);
    CHECK(before <= 2);
    pair.send("and on");
  }
}

TEST_CASE("record.we update our key before it is used up, and OpenSSL follows") {
  for (const auto& suite : kRecordSuites) {
    if (suite.version != kTls13 || suite.suite == 0x1303) continue;
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      for (int round = 0; round < 20; ++round) {
        // As if OpenSSL had sent too much under one key: we update ours and ask it to do the same.
        const auto sequence = std::exchange(pair.ours->state().receive_sequence, kGcmRecordsMax);
        REQUIRE(pair.ours->seal("asks"));
        pair.ours->state().receive_sequence = sequence;
        CHECK(pair.ours->state().send_sequence == 1);
        const auto before = pair.theirs.received().size();
        pair.theirs.feed(pair.ours->take_output());
        CHECK(pair.theirs.received().substr(before) == "asks");
        pair.receive("answers under its next key");
        CHECK(pair.ours->layer().is_peer_key_updated());
        CHECK(pair.ours->state().receive_sequence == 1);
        pair.send("and on");
      }
    }
  }
}

TEST_CASE("record.close_notify of either end is understood by the other") {
  for (const auto& suite : kRecordSuites) {
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      pair.theirs.write("last words");
      SSL_shutdown(pair.theirs.ssl());
      CHECK(pair.ours->open(pair.theirs.take_output(), 1) == OpenState::closed_by_peer);
      CHECK(pair.ours->received() == "last words");
      pair.ours->layer().close_notify(pair.ours->wire());
      pair.theirs.feed(pair.ours->take_output());
      CHECK(SSL_shutdown(pair.theirs.ssl()) == 1);

      OpenSslPair first(role, suite);
      first.ours->layer().close_notify(first.ours->wire());
      first.theirs.feed(first.ours->take_output());
      CHECK(first.theirs.closed_by_client());
      first.receive("what is on its way still comes");
    }
  }
}

TEST_CASE("record.OpenSSL learns why we end a session") {
  for (const auto& suite : kRecordSuites) {
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      pair.theirs.write("to be broken");
      auto record = pair.theirs.take_output();
      record.back() ^= std::byte{1};
      REQUIRE_FALSE(pair.ours->open(record));
      pair.theirs.feed(pair.ours->take_output());
      CHECK(pair.theirs.failed());
      CHECK(pair.theirs.last_error().contains("bad record mac"));
    }
  }
}

TEST_CASE("record.renegotiation that OpenSSL wants is refused in both roles") {
  for (const auto& suite : kRecordSuites) {
    if (suite.version != kTls12) continue;
    for (const auto role : kRoles) {
      OpenSslPair pair(role, suite);
      SSL_renegotiate(pair.theirs.ssl());
      SSL_do_handshake(pair.theirs.ssl());
      CHECK(pair.ours->open(pair.theirs.take_output()) == OpenState::open);
      pair.theirs.feed(pair.ours->take_output());
      // It does not go on without; that is its right.
      CHECK(pair.theirs.failed());
      CHECK(pair.theirs.last_error().contains("no renegotiation"));
    }
  }
}

TEST_CASE("record.tickets resume a session also after its keys were updated, and come too late after that") {
  OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION});
  const auto client = make_client();
  const auto talk = [&](bool expect_resumed) {
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(pair.host().resumed() == expect_resumed);
    REQUIRE(pair.open_all(1));  // the tickets
    for (int i = 0; i < 3; ++i) {
      REQUIRE(SSL_key_update(pair.host().ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
      pair.host().write("data");
      REQUIRE(pair.open_all());
      pair.seal({"answer"});
    }
    CHECK(pair.received() == "datadatadata");
    CHECK(pair.host().received() == "answeransweranswer");
    // Passed over: mbedTLS, which alone could read it, has no keys any more.
    REQUIRE(SSL_new_session_ticket(pair.host().ssl()) == 1);
    pair.host().write("behind a late ticket");
    REQUIRE(pair.open_all());
    CHECK(pair.received().ends_with("behind a late ticket"));
    pair.session().close_notify(pair.wire());
    pair.flush();
    SSL_shutdown(pair.host().ssl());
  };
  talk(false);
  for (int i = 0; i < 4; ++i) talk(true);
}

TEST_CASE("record.tickets may come at any time before the first key update, many at once") {
  OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION});
  const auto client = make_client();
  TlsPair pair(*client, host);
  REQUIRE(pair.shake_hands());
  for (int i = 0; i < 10; ++i) {
    pair.host().write("data");
    REQUIRE(SSL_new_session_ticket(pair.host().ssl()) == 1);
    pair.host().write("data");
    REQUIRE(pair.open_all(i % 2 == 0 ? 1 : 1000));
    pair.seal({"answer"});
  }
  CHECK(pair.received().size() == 80);
  CHECK(pair.host().received().size() == 60);
  for (int i = 0; i < 8; ++i) {
    TlsPair next(*client, host);
    REQUIRE(next.shake_hands());
    CHECK(next.host().resumed());
  }
}

}  // namespace
}  // namespace tlsmux::test
