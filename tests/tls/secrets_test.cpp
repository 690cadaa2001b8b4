#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "engine/tls/mbedtls_session.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "engine/tls/session_state.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::MbedtlsSession;
using engine::tls::SecretBytes;
using engine::tls::SessionState;
using engine::tls::Wiped;

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

template <std::size_t kSize>
std::string secret(const SessionState& state, const std::array<std::uint8_t, kSize>& bytes) {
  return hexadecimal(std::span(bytes).first(state.secret_bytes));
}

void state_of(TlsPair& pair, Wiped<SessionState>& state) {
  dynamic_cast<MbedtlsSession&>(pair.session()).copy_state(state);
}

TEST_CASE("tls.state holds the secrets that OpenSSL logs for TLS 1.3") {
  for (const std::string suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"}) {
    OpenSslHost host(host_identity(), {.suites_1_3 = suite});
    const auto client = make_client();
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    Wiped<SessionState> state;
    state_of(pair, state);
    CHECK(state->version == 0x0304);
    CHECK(state->suite == (suite == "TLS_AES_128_GCM_SHA256" ? 0x1301 : 0x1302));
    CHECK(state->secret_bytes == (suite == "TLS_AES_128_GCM_SHA256" ? 32 : 48));
    const std::string& log = host.key_log();
    CHECK(log.contains(" " + secret(*state, state->client_secret) + "\n"));
    CHECK(log.find("CLIENT_TRAFFIC_SECRET_0") < log.find(secret(*state, state->client_secret)));
    CHECK(log.contains(" " + secret(*state, state->server_secret) + "\n"));
    CHECK(state->send_sequence == 0);
    CHECK(state->receive_sequence == 0);

    REQUIRE(pair.open_all());  // two tickets
    pair.seal({"one"});
    pair.seal({"two"});
    pair.seal({"three"});
    state_of(pair, state);
    CHECK(state->send_sequence == 3);
    CHECK(state->receive_sequence == 2);
  }
}

TEST_CASE("tls.state holds the master secret that OpenSSL logs for TLS 1.2") {
  OpenSslHost host(host_identity(), {.version_max = TLS1_2_VERSION});
  const auto client = make_client();
  for (const bool resumed : {false, true}) {
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(pair.session().peer_facts().resumed == resumed);
    Wiped<SessionState> state;
    state_of(pair, state);
    CHECK(state->version == 0x0303);
    CHECK(state->secret_bytes == 48);
    CHECK(host.key_log().contains("CLIENT_RANDOM " + hexadecimal(state->client_random) + " " +
                                  secret(*state, state->master_secret)));
    CHECK(state->send_sequence == 1);  // the Finished
    CHECK(state->receive_sequence == 1);
  }
}

TEST_CASE("tls.state is wiped when it goes away") {
  using Holder = Wiped<SessionState>;
  alignas(Holder) std::array<unsigned char, sizeof(Holder)> memory{};
  auto* holder = std::construct_at(reinterpret_cast<Holder*>(memory.data()));
  (*holder)->client_secret.fill(0xA5);
  (*holder)->secret_bytes = 48;
  CHECK(std::ranges::count(memory, 0xA5) == 48);
  std::destroy_at(holder);
  CHECK(std::ranges::all_of(memory, [](unsigned char byte) { return byte == 0; }));
}

TEST_CASE("tls.key bytes are wiped and leave no copy when moved") {
  SecretBytes key = secret_bytes("a private key");
  const auto where = key.bytes();
  SecretBytes moved = std::move(key);
  CHECK(moved.bytes().data() == where.data());
  CHECK(moved.bytes().size() == 13);
  CHECK(key.empty());  // NOLINT(bugprone-use-after-move): that is asked
  moved.wipe();
  CHECK(std::ranges::all_of(where, [](std::byte byte) { return byte == std::byte{0}; }));
  CHECK(moved.bytes().size() == 13);
  moved = SecretBytes(4);
  CHECK(moved.bytes().size() == 4);
}

}  // namespace
}  // namespace tlsmux::test
