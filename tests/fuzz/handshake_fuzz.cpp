// Any bytes from a host before a session is ready: as they come, or a true handshake with bytes changed, left out and put in
// between. A session is never ready with another host than the one that holds the certificate, and whatever ends it has
// words.
#include <array>
#include <memory>
#include <vector>

#include "engine/tls/handshake_message.hpp"
#include "engine/tls/record/handshake_reader.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/tls/tls_pair.hpp"

using namespace tlsmux;
using engine::tls::HandshakeState;

namespace {

using Bytes = std::vector<std::byte>;

struct Host {
  explicit Host(config::TlsVersion version, int number)
      : host(test::host_identity(), {.version_min = number, .version_max = number}),
        client(test::make_client(test::versions(version, version))) {}

  test::OpenSslHost host;
  std::unique_ptr<engine::tls::TlsClient> client;
};

Host& host_of(bool is_1_3) {
  static Host old(config::TlsVersion::tls_1_2, TLS1_2_VERSION);
  static Host present(config::TlsVersion::tls_1_3, TLS1_3_VERSION);
  return is_1_3 ? present : old;
}

// Gives them to a new session in pieces. Bytes that the host had no part in make no session.
void feed_raw(fuzz::Choices& choices, bool is_1_3) {
  const auto session = host_of(is_1_3).client->start(std::string(test::kHostName)).value();
  Bytes output;
  auto state = session->handshake({}, output);
  while (state && *state == HandshakeState::wants_bytes && !choices.empty()) {
    const auto count = 1 + choices.next() * 4U;
    state = session->handshake(std::as_bytes(choices.take(count)), output);
  }
  fuzz::require(!state || *state == HandshakeState::wants_bytes, "a session with nobody");
  if (!state) fuzz::require(!state.error().words.empty(), "a failure without words");
}

void bend(fuzz::Choices& choices, Bytes& flight) {
  for (auto count = choices.next() % 4; count > 0 && !flight.empty(); --count) {
    const auto at = static_cast<std::ptrdiff_t>(choices.next_16() % flight.size());
    const std::byte value{choices.next()};
    switch (choices.next() % 4) {
      case 0: flight[static_cast<std::size_t>(at)] = value; break;
      case 1: flight[static_cast<std::size_t>(at)] ^= value; break;
      case 2: flight.insert(flight.begin() + at, value); break;
      default: flight.erase(flight.begin() + at); break;
    }
  }
}

void bend_true_handshake(fuzz::Choices& choices, bool is_1_3) {
  auto& [host, client] = host_of(is_1_3);
  const auto session = client->start(std::string(test::kHostName)).value();
  test::OpenSslConnection connection(host);
  Bytes to_host;
  auto state = session->handshake({}, to_host);
  while (state && *state == HandshakeState::wants_bytes) {
    connection.feed(to_host);
    to_host.clear();
    auto to_client = connection.take_output();
    if (to_client.empty()) return;
    bend(choices, to_client);
    const auto cut = choices.next_16() % (to_client.size() + 1);
    state = session->handshake(std::span(to_client).first(cut), to_host);
    if (state && *state == HandshakeState::wants_bytes) {
      state = session->handshake(std::span(to_client).subspan(cut), to_host);
    }
  }
  if (!state) return fuzz::require(!state.error().words.empty(), "a failure without words");
  const auto facts = session->peer_facts();
  fuzz::require(facts.resumed || (facts.certificates && !facts.certificates->empty()), "nobody's session");
  fuzz::require(facts.server_name == test::kHostName, "another host's session");
}

void look_at_messages(std::span<const std::uint8_t> data) {
  static_cast<void>(engine::tls::server_hello_has_extension(data, engine::tls::kExtendedMasterSecret));
  static_cast<void>(engine::tls::server_hello_suite(data));
  static_cast<void>(engine::tls::is_key_exchange_signed_with_pss(data));
  fuzz::Choices choices(data);
  engine::tls::HandshakeReader reader;
  while (!choices.empty()) {
    auto content = std::as_bytes(choices.take(1 + choices.next()));
    while (!content.empty()) {
      const auto message = reader.next(content);
      if (!message) return;
      if (!*message) break;
      fuzz::require((*message)->bytes.size() <= engine::tls::HandshakeReader::kMessageBytesMax, "too long a message");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  fuzz::Choices choices({data + 1, size - 1});
  const bool is_1_3 = (data[0] & 1) != 0;
  switch (data[0] / 2 % 4) {
    case 0: look_at_messages({data + 1, size - 1}); break;
    case 1: feed_raw(choices, is_1_3); break;
    default: bend_true_handshake(choices, is_1_3); break;
  }
  return 0;
}
