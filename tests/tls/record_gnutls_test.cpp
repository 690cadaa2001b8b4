// Our records against GnuTLS's programs, in both roles.
#include <doctest/doctest.h>

#include <string>

#include "tests/tls/gnutls.hpp"
#include "tests/tls/mbedtls_end.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::HandshakeState;
using engine::tls::kTls13;
using engine::tls::OpenState;
using engine::tls::Role;
using engine::tls::SessionState;

// Our server's side of a connection, after mbedTLS's handshake.
SessionState serve_handshake(int socket, const VersionAndSuite& suite, Bytes& unread) {
  MbedtlsEnd end(Role::server, suite);
  bool is_done = false;
  while (!is_done) {
    const auto received = read_some(socket);
    REQUIRE_FALSE(received.empty());
    Bytes output;
    is_done = end.handshake(received, output);
    write_all(socket, output);
  }
  unread = end.unread();
  return end.state();
}

void receive_until(RecordEnd& ours, int socket, std::string_view text) {
  while (!ours.received().ends_with(text)) {
    const auto received = read_some(socket);
    REQUIRE_FALSE(received.empty());
    REQUIRE(ours.open(received) == OpenState::open);
  }
}

void send(RecordEnd& ours, int socket, std::string_view text) {
  REQUIRE(ours.seal(text));
  write_all(socket, ours.take_output());
}

TEST_CASE("record.gnutls-cli talks to our server's side and updates keys") {
  if (!have_gnutls()) return;
  const TemporaryFolder folder;
  const auto ca_file = folder.add("ca.pem", authority().pem());
  for (const auto& suite : kRecordSuites) {
    CAPTURE(suite.suite);
    const auto listener = listen_on_loopback();
    PipedProgram client({"/usr/bin/gnutls-cli", "--x509cafile=" + ca_file, "--verify-hostname=host.example",
                         "--priority=" + gnutls_priority(suite), "--inline-commands",
                         "--port=" + std::to_string(listener.port), "127.0.0.1"});
    const auto socket = accept_one(listener);
    Bytes unread;
    RecordEnd ours(serve_handshake(socket.get(), suite, unread));
    REQUIRE(ours.open(unread));
    client.await("Handshake was completed");
    for (int round = 0; round < 5; ++round) {
      client.say("from the client\n");
      receive_until(ours, socket.get(), "from the client\n");
      send(ours, socket.get(), "from the server\n");
      client.await("from the server");
      if (suite.version != kTls13) continue;
      // Alone, and then with ours.
      for (const std::string command : {"^rekey1^\n", "^rekey^\n"}) {
        const auto theirs = ours.state().client_secret;
        const auto own = ours.state().server_secret;
        client.say(command);
        while (ours.state().client_secret == theirs) REQUIRE(ours.open(read_some(socket.get())));
        send(ours, socket.get(), "after its update\n");
        client.await("after its update");
        CHECK((ours.state().server_secret != own) == (command == "^rekey^\n"));
        client.say("under its next key\n");
        receive_until(ours, socket.get(), "under its next key\n");
      }
    }
    ours.layer().close_notify(ours.wire());
    write_all(socket.get(), ours.take_output());
    client.await("Peer has closed the GnuTLS connection");
  }
}

// A session of the engine's to a server on the loopback interface.
struct Connected {
  Connected(engine::tls::TlsClient& client, std::uint16_t port)
      : socket(connect_to_loopback(port)), session(client.start(std::string(kHostName)).value()) {
    Bytes output;
    auto state = session->handshake({}, output);
    while (true) {
      if (!state) FAIL(state.error().words);
      write_all(socket.get(), output);
      if (*state == HandshakeState::done) break;
      output.clear();
      state = session->handshake(read_some(socket.get()), output);
    }
  }
  void seal(std::string_view text) {
    const std::array parts = {std::as_bytes(std::span(text))};
    REQUIRE(session->seal(parts, wire));
    flush();
  }
  void flush() {
    write_all(socket.get(), wire.pending());
    wire.accept(wire.pending().size());
  }
  std::expected<OpenState, engine::tls::TlsError> open(Bytes bytes) {
    return session->open(bytes, [&](std::span<const std::byte> plaintext) { received += text_of(plaintext); }, wire);
  }

  shm::UniqueFd socket;
  std::unique_ptr<engine::tls::TlsSession> session;
  Bytes memory = Bytes(100'000);
  engine::tls::WireBuffer wire{memory};
  std::string received;
};

TEST_CASE("record.gnutls-serv talks to a session of the engine's, and resumes it") {
  if (!have_gnutls() || !enter_private_network()) return;
  const TemporaryFolder folder;
  const auto certificate = folder.add("host.pem", host_identity().certificate_pem());
  const auto key = folder.add("host.key", host_identity().key_pem());
  constexpr std::uint16_t kPort = 5556;  // nobody else is here
  for (const auto& suite : kRecordSuites) {
    CAPTURE(suite.suite);
    PipedProgram server({"/usr/bin/gnutls-serv", "--echo", "--disable-client-cert", "--x509certfile=" + certificate,
                         "--x509keyfile=" + key, "--priority=" + gnutls_priority(suite),
                         "--port=" + std::to_string(kPort)});
    server.await("listening on IPv4");
    server.await("done");
    const auto client = make_client();
    for (const bool resumed : {false, true}) {
      Connected connected(*client, kPort);
      CHECK(connected.session->peer_facts().resumed == resumed);
      std::string all;
      for (const std::size_t size : {1, 300, 2000}) {
        const auto line = pattern(size) + "\n";
        connected.seal(line);
        all += line;
        while (connected.received.size() < all.size()) {
          const auto bytes = read_some(connected.socket.get());
          REQUIRE_FALSE(bytes.empty());
          REQUIRE(connected.open(bytes));
        }
        CHECK(connected.received == all);
      }
      connected.session->close_notify(connected.wire);
      connected.flush();
      // It closes its half too.
      auto state = connected.open({});
      while (state && *state == OpenState::open) {
        const auto bytes = read_some(connected.socket.get());
        if (bytes.empty()) break;
        state = connected.open(bytes);
      }
      CHECK(state == OpenState::closed_by_peer);
    }
  }
}

}  // namespace
}  // namespace tlsmux::test
