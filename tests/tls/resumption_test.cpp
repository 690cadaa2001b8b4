#include <doctest/doctest.h>

#include <openssl/ssl.h>

#include <array>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/tls/ticket_store.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::SavedSession;
using engine::tls::Ticket;
using engine::tls::TicketStore;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

HostSettings only(int version) { return {.version_min = version, .version_max = version}; }

std::vector<std::byte> der_of(const X509* certificate) {
  unsigned char* der = nullptr;
  const int bytes = i2d_X509(certificate, &der);
  REQUIRE(bytes > 0);
  const auto all = std::as_bytes(std::span(der, static_cast<std::size_t>(bytes)));
  std::vector<std::byte> copy(all.begin(), all.end());
  OPENSSL_free(der);
  return copy;
}

// What the host shows in a full handshake.
engine::tls::PeerCertificates certificates_of(SSL* host) {
  engine::tls::PeerCertificates certificates{der_of(SSL_get_certificate(host))};
  STACK_OF(X509)* others = nullptr;
  // NOLINTBEGIN(bugprone-multi-level-implicit-pointer-conversion): in OpenSSL's macros
  SSL_get0_chain_certs(host, &others);
  if (others == nullptr) SSL_CTX_get0_chain_certs(SSL_get_SSL_CTX(host), &others);
  // NOLINTEND(bugprone-multi-level-implicit-pointer-conversion)
  for (int i = 0; i < sk_X509_num(others); ++i) certificates.push_back(der_of(sk_X509_value(others, i)));
  return certificates;
}

// Also of a session that is resumed.
void check_facts(TlsPair& pair, std::string_view name) {
  const auto facts = pair.session().peer_facts();
  REQUIRE(facts.certificates != nullptr);
  CHECK(*facts.certificates == certificates_of(pair.host().ssl()));
  CHECK(facts.version_number == SSL_version(pair.host().ssl()));
  CHECK(facts.suite_number == SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(pair.host().ssl())));
  CHECK(facts.server_name == name);
}

// Whether the next handshake is a resumption, as both sides see it. Takes the tickets that come behind it.
bool resumes(engine::tls::TlsClient& client, OpenSslHost& host, std::string_view name = kHostName) {
  TlsPair pair(client, host, name);
  const auto done = pair.shake_hands();
  if (!done) FAIL(done.error().words);
  REQUIRE(pair.open_all());
  pair.seal({"ping"});
  CHECK(pair.host().received() == "ping");
  pair.host().write("pong");
  REQUIRE(pair.open_all());
  CHECK(pair.received() == "pong");
  CHECK(pair.session().peer_facts().certificate_expires_s > 0);
  CHECK(pair.host().resumed() == pair.session().peer_facts().resumed);
  check_facts(pair, name);
  // OpenSSL forgets a session that is not closed.
  pair.session().close_notify(pair.wire());
  pair.flush();
  SSL_shutdown(pair.host().ssl());
  return pair.host().resumed();
}

TEST_CASE("tls.resumption works in both versions, again and again") {
  for (const int version : kVersions) {
    CAPTURE(version);
    OpenSslHost host(host_identity(), only(version));
    const auto client = make_client();
    CHECK_FALSE(resumes(*client, host));
    for (int i = 0; i < 5; ++i) CHECK(resumes(*client, host));
  }
}

TEST_CASE("tls.resumption works for a literal address") {
  for (const int version : kVersions) {
    OpenSslHost host(host_identity(), only(version));
    const auto client = make_client();
    CHECK_FALSE(resumes(*client, host, "192.0.2.7"));
    CHECK(resumes(*client, host, "192.0.2.7"));
  }
}

TEST_CASE("tls.resumption works by session identifier where a TLS 1.2 host gives no ticket") {
  HostSettings settings = only(TLS1_2_VERSION);
  settings.options = SSL_OP_NO_TICKET;
  OpenSslHost host(host_identity(), settings);
  const auto client = make_client();
  CHECK_FALSE(resumes(*client, host));
  CHECK(resumes(*client, host));
  CHECK(resumes(*client, host));
}

TEST_CASE("tls.resumption keeps to the server name and to the client") {
  OpenSslHost host(host_identity());
  const auto client = make_client();
  CHECK_FALSE(resumes(*client, host));
  CHECK_FALSE(resumes(*client, host, "192.0.2.7"));
  const auto other_client = make_client();
  CHECK_FALSE(resumes(*other_client, host));
  CHECK(resumes(*client, host));
}

TEST_CASE("tls.resumption gives way to a full handshake when the host has forgotten its keys") {
  for (const int version : kVersions) {
    OpenSslHost before(host_identity(), only(version));
    const auto client = make_client();
    CHECK_FALSE(resumes(*client, before));
    OpenSslHost restarted(host_identity(), only(version));
    CHECK_FALSE(resumes(*client, restarted));
    CHECK(resumes(*client, restarted));
  }
}

TEST_CASE("tls.resumption costs one failed handshake when the host has gone to another version") {
  // mbedTLS offers only the version of the ticket.
  for (const int version : kVersions) {
    OpenSslHost before(host_identity(), only(version));
    const auto client = make_client();
    CHECK_FALSE(resumes(*client, before));
    OpenSslHost after(host_identity(), only(version == TLS1_2_VERSION ? TLS1_3_VERSION : TLS1_2_VERSION));
    TlsPair failing(*client, after);
    const auto done = failing.shake_hands();
    REQUIRE_FALSE(done);
    CHECK(done.error().reason == shm::Reason::no_common_version);
    CHECK_FALSE(resumes(*client, after));
  }
}

TEST_CASE("tls.resumption uses a TLS 1.3 ticket once, also from many sessions at a time") {
  OpenSslHost host(host_identity(), only(TLS1_3_VERSION));
  const auto client = make_client();
  CHECK_FALSE(resumes(*client, host));  // two tickets come with it
  TlsPair first(*client, host);
  TlsPair second(*client, host);
  TlsPair third(*client, host);
  REQUIRE(first.shake_hands());
  REQUIRE(second.shake_hands());
  REQUIRE(third.shake_hands());
  CHECK(first.session().peer_facts().resumed);
  CHECK(second.session().peer_facts().resumed);
  CHECK_FALSE(third.session().peer_facts().resumed);
}

TEST_CASE("tls.resumption outlives the sessions and the client") {
  OpenSslHost host(host_identity(), only(TLS1_3_VERSION));
  auto client = make_client();
  TlsPair pair(*client, host);
  REQUIRE(pair.shake_hands());
  client.reset();
  CHECK(pair.open_all());  // keeps a ticket where nobody will look for it
  pair.seal({"still here"});
  CHECK(pair.host().received() == "still here");
}

Ticket ticket(std::int64_t end_s, bool single_use = true) {
  return {.session = std::make_shared<SavedSession>(), .single_use = single_use, .end_s = end_s};
}

TEST_CASE("tls.tickets come newest first and end in time") {
  TicketStore store;
  CHECK_FALSE(store.take("host", 0));
  const auto early = ticket(100);
  const auto late = ticket(200);
  store.keep("host", early);
  store.keep("host", late);
  CHECK_FALSE(store.take("other host", 0));
  CHECK(store.take("host", 99)->session == late.session);
  CHECK(store.take("host", 99)->session == early.session);
  CHECK_FALSE(store.take("host", 99));

  store.keep("host", ticket(100));
  CHECK_FALSE(store.take("host", 100));
  CHECK_FALSE(store.take("host", 50));  // an ended one is gone
}

TEST_CASE("tls.tickets are bounded, and a reusable one stays alone") {
  TicketStore store;
  std::vector<Ticket> kept;
  for (std::size_t i = 0; i < TicketStore::kTicketsPerNameMax + 3; ++i) {
    kept.push_back(ticket(1000));
    store.keep("host", kept.back());
  }
  for (std::size_t i = 0; i < TicketStore::kTicketsPerNameMax; ++i) {
    CHECK(store.take("host", 0)->session == kept.at(kept.size() - 1 - i).session);
  }
  CHECK_FALSE(store.take("host", 0));

  store.keep("host", ticket(1000));
  const auto reusable = ticket(1000, false);
  store.keep("host", reusable);
  CHECK(store.take("host", 0)->session == reusable.session);
  CHECK(store.take("host", 0)->session == reusable.session);
  store.forget("host");
  store.forget("unknown");
  CHECK_FALSE(store.take("host", 0));
}

TEST_CASE("tls.tickets may be kept and taken on many threads, each at most once") {
  TicketStore store;
  std::array<int, 4> taken{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 500; ++round) {
          store.keep("host", ticket(1000));
          if (store.take("host", 0)) ++taken.at(i);
        }
      });
    }
  }
  int sum = 0;
  for (const int count : taken) sum += count;
  CHECK(sum > 0);
  CHECK(sum <= 2000);
}

}  // namespace
}  // namespace tlsmux::test
