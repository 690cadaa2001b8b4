// A host that puts more into the record of its Finished, so that it would cross the change of keys.
#include <doctest/doctest.h>

#include <string>

#include "engine/tls/private_fields.hpp"
#include "tests/tls/mbedtls_end.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::ContentType;
using engine::tls::HandshakeState;
using engine::tls::RecordProtection;

// The keys of the host's handshake messages, which OpenSSL logs.
std::unique_ptr<RecordProtection> handshake_protection(const OpenSslHost& host) {
  const std::string label = "SERVER_HANDSHAKE_TRAFFIC_SECRET ";
  const auto line = host.key_log().substr(host.key_log().find(label) + label.size());
  const auto hexadecimal = line.substr(65, 64);  // behind the client's random
  std::array<std::uint8_t, 32> secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) {
    secret[i] = static_cast<std::uint8_t>(std::stoi(hexadecimal.substr(2 * i, 2), nullptr, 16));
  }
  const auto suite = suite_of({engine::tls::kTls13, 0x1301});
  engine::tls::TrafficKey key;
  derive_traffic_key(suite, secret, key);
  return RecordProtection::make(suite, engine::tls::AeadLibrary::mbedtls, key);
}

// The host's first flight with `more` behind its Finished, in the same record.
Bytes with_more_behind_finished(Bytes flight, RecordProtection& protection, std::initializer_list<int> more) {
  Bytes output;
  std::uint64_t sequence = 0;
  for (std::span<std::byte> rest = flight; !rest.empty();) {
    const auto size = 5 + (std::to_integer<std::size_t>(rest[3]) << 8 | std::to_integer<std::size_t>(rest[4]));
    const auto record = rest.first(size);
    rest = rest.subspan(size);
    if (record[0] != std::byte{23}) {  // ServerHello, and the message that middleboxes want
      output.insert(output.end(), record.begin(), record.end());
      continue;
    }
    engine::tls::OpenedRecord opened;
    REQUIRE(protection.open(sequence, record, opened));
    Bytes content(opened.content.begin(), opened.content.end());
    if (rest.empty()) {
      for (const int byte : more) content.push_back(std::byte(byte));
    }
    Bytes sealed(content.size() + 22);
    const std::array parts = {std::span<const std::byte>(content)};
    sealed.resize(protection.seal(sequence++, opened.type, parts, sealed));
    output.insert(output.end(), sealed.begin(), sealed.end());
  }
  return output;
}

TEST_CASE("record.takeover is refused when messages stand behind the host's Finished") {
  for (const auto& more : {std::initializer_list<int>{}, {24, 0, 0, 1, 0}, {4, 0}, {20, 0, 0, 0}}) {
    OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION, .suites_1_3 = "TLS_AES_128_GCM_SHA256"});
    OpenSslConnection connection(host);
    const auto client = make_client();
    const auto session = client->start(std::string(kHostName)).value();
    Bytes to_host;
    REQUIRE(session->handshake({}, to_host));
    connection.feed(to_host);
    const auto protection = handshake_protection(host);
    const auto flight = with_more_behind_finished(connection.take_output(), *protection, more);
    to_host.clear();
    const auto done = session->handshake(flight, to_host);
    CHECK(done.has_value() == (more.size() == 0));  // as it was, it is accepted
    if (!done) CHECK(done.error().reason == shm::Reason::handshake_failed);
  }
}

TEST_CASE("record.takeover is refused by what is left to be read or sent") {
  MbedtlsEnd client(engine::tls::Role::client, kRecordSuites[0]);
  mbedtls_ssl_context& ssl = *client.ssl();
  CHECK(engine::tls::is_between_records(ssl));
  ssl.MBEDTLS_PRIVATE(in_left) = 1;
  CHECK_FALSE(engine::tls::is_between_records(ssl));
  ssl.MBEDTLS_PRIVATE(in_left) = 0;
  ssl.MBEDTLS_PRIVATE(out_left) = 1;
  CHECK_FALSE(engine::tls::is_between_records(ssl));
  ssl.MBEDTLS_PRIVATE(out_left) = 0;
  CHECK(engine::tls::is_between_records(ssl));
}

}  // namespace
}  // namespace tlsmux::test
