#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::OpenState;
using engine::tls::WireBuffer;
using shm::Reason;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

// A host and a session to it, the handshake done.
struct Connected {
  explicit Connected(int version, const std::string& suites_1_2 = "")
      : host(host_identity(), {.version_min = version, .version_max = version, .suites_1_2 = suites_1_2}),
        client(make_client()),
        pair(*client, host) {
    REQUIRE(pair.shake_hands());
    REQUIRE(pair.open_all());
  }
  OpenSslHost host;
  std::unique_ptr<engine::tls::TlsClient> client;
  TlsPair pair;
};

std::string some_text(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

TEST_CASE("tls.seal makes one record of any size up to the limit, within the promised overhead") {
  for (const int version : kVersions) {
    for (const std::string suites : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
      Connected connected(version, suites);
      auto& session = connected.pair.session();
      const std::size_t limit = session.record_bytes_max();
      CHECK(limit >= 16'000);
      for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{15}, std::size_t{16}, std::size_t{17},
                                     std::size_t{300}, std::size_t{4096}, limit - 1, limit}) {
        const std::string text = some_text(size);
        const std::array parts = {std::as_bytes(std::span(text))};
        // Exactly what the contract demands is enough.
        std::vector<std::byte> memory(size + session.record_overhead_bytes());
        WireBuffer wire(memory);
        REQUIRE(session.seal(parts, wire));
        const auto record = wire.pending();
        CHECK(record.size() <= size + session.record_overhead_bytes());
        const std::size_t body =
            (std::to_integer<std::size_t>(record[3]) << 8) | std::to_integer<std::size_t>(record[4]);
        CHECK(record.size() == 5 + body);  // one record
        const std::size_t before = connected.pair.host().received().size();
        connected.pair.host().feed(record);
        CHECK(connected.pair.host().received().substr(before) == text);
      }
    }
  }
}

TEST_CASE("tls.seal joins its parts in their order, empty ones too") {
  for (const int version : kVersions) {
    Connected connected(version);
    connected.pair.seal({"", "0200", "", "0400", "0800", ""});
    CHECK(connected.pair.host().received() == "020004000800");
  }
}

TEST_CASE("tls.open gives all of a long answer however it is cut") {
  for (const int version : kVersions) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1400}, std::size_t{1} << 20}) {
      Connected connected(version);
      const std::string answer = some_text(step == 1 ? 40'000 : 100'000);
      connected.pair.host().write(answer);
      CHECK(connected.pair.open_all(step) == OpenState::open);
      CHECK(connected.pair.received() == answer);
    }
  }
}

TEST_CASE("tls.open starts with what came behind the handshake") {
  // The host of TLS 1.2 finishes last, so its data can come along with its Finished.
  OpenSslHost host(host_identity(), {.version_max = TLS1_2_VERSION});
  const auto client = make_client();
  auto session = client->start(std::string(kHostName)).value();
  OpenSslConnection connection(host);
  std::vector<std::byte> to_host;
  REQUIRE(session->handshake({}, to_host));
  connection.feed(to_host);
  to_host.clear();
  REQUIRE(session->handshake(connection.take_output(), to_host));
  connection.feed(to_host);
  connection.write("eager");
  CHECK(session->handshake(connection.take_output(), to_host) == engine::tls::HandshakeState::done);

  std::string received;
  std::vector<std::byte> memory(1000);
  WireBuffer wire(memory);
  const auto opened = session->open(
      {},
      [&](std::span<const std::byte> plaintext) {
        received.append(reinterpret_cast<const char*>(plaintext.data()), plaintext.size());
      },
      wire);
  CHECK(opened == OpenState::open);
  CHECK(received == "eager");
}

TEST_CASE("tls.open refuses a record that was changed in any byte, and stays so") {
  for (const int version : kVersions) {
    for (const std::size_t changed : {0, 1, 3, 5, 20, 40}) {
      Connected connected(version);
      connected.pair.host().write("0210000000000000000000000000");
      auto record = connected.pair.host().take_output();
      record.at(changed) ^= std::byte{1};
      // A longer length makes it wait for more, which never verifies.
      record.resize(record.size() + 256);
      const auto opened = connected.pair.open(record);
      REQUIRE_FALSE(opened);
      CHECK(opened.error().reason == Reason::record_corrupt);
      CHECK(connected.pair.received().empty());
      CHECK_FALSE(connected.pair.open({}));
      const std::string text = "late";
      const std::array parts = {std::as_bytes(std::span(text))};
      CHECK_FALSE(connected.pair.session().seal(parts, connected.pair.wire()));
    }
  }
}

TEST_CASE("tls.open refuses a replayed record and one that was left out") {
  for (const int version : kVersions) {
    Connected connected(version);
    connected.pair.host().write("first");
    const auto first = connected.pair.host().take_output();
    REQUIRE(connected.pair.open(first));
    CHECK_FALSE(connected.pair.open(first));

    Connected other(version);
    other.pair.host().write("first");
    other.pair.host().take_output();
    other.pair.host().write("second");
    CHECK_FALSE(other.pair.open(other.pair.host().take_output()));
    CHECK(other.pair.received().empty());
  }
}

TEST_CASE("tls.close_notify of the host ends opening but not sealing") {
  for (const int version : kVersions) {
    Connected connected(version);
    connected.pair.host().write("last words");
    SSL_shutdown(connected.pair.host().ssl());
    auto bytes = connected.pair.host().take_output();
    bytes.push_back(std::byte{99});  // what follows is not looked at
    CHECK(connected.pair.open(bytes) == OpenState::closed_by_peer);
    CHECK(connected.pair.received() == "last words");
    CHECK(connected.pair.open(bytes) == OpenState::closed_by_peer);
    const std::string text = "0400";
    const std::array parts = {std::as_bytes(std::span(text))};
    CHECK(connected.pair.session().seal(parts, connected.pair.wire()));
    connected.pair.session().close_notify(connected.pair.wire());
    CHECK_FALSE(connected.pair.wire().empty());
  }
}

TEST_CASE("tls.close_notify of ours says nothing when there is no room") {
  for (const int version : kVersions) {
    Connected connected(version);
    std::vector<std::byte> memory(20);
    WireBuffer wire(memory);
    connected.pair.session().close_notify(wire);
    CHECK(wire.empty());
    connected.pair.session().close_notify(connected.pair.wire());
    connected.pair.flush();
    CHECK(connected.pair.host().closed_by_client());
  }
}

TEST_CASE("tls.open tells of a fatal alert in words") {
  for (const int version : kVersions) {
    Connected connected(version);
    // A record that the host cannot open makes it raise bad_record_mac.
    connected.pair.seal({"fine"});
    const std::string text = "to be broken";
    const std::array parts = {std::as_bytes(std::span(text))};
    std::vector<std::byte> memory(1000);
    WireBuffer wire(memory);
    REQUIRE(connected.pair.session().seal(parts, wire));
    std::vector<std::byte> record(wire.pending().begin(), wire.pending().end());
    record.back() ^= std::byte{1};
    connected.pair.host().feed(record);
    REQUIRE(connected.pair.host().failed());
    const auto opened = connected.pair.open_all();
    REQUIRE_FALSE(opened);
    CHECK(opened.error().reason == Reason::record_corrupt);
    CHECK(opened.error().words.contains("alert bad_record_mac"));
  }
}

TEST_CASE("tls.open refuses renegotiation in TLS 1.2 and goes on") {
  Connected connected(TLS1_2_VERSION);
  SSL_renegotiate(connected.pair.host().ssl());
  SSL_do_handshake(connected.pair.host().ssl());
  CHECK(connected.pair.open_all() == OpenState::open);
  CHECK_FALSE(connected.pair.wire().empty());  // the warning no_renegotiation

  Connected stuck(TLS1_2_VERSION);
  SSL_renegotiate(stuck.pair.host().ssl());
  SSL_do_handshake(stuck.pair.host().ssl());
  std::vector<std::byte> memory(8);
  WireBuffer full(memory);
  auto asked = stuck.pair.host().take_output();
  const auto opened = stuck.pair.session().open(asked, [](auto) {}, full);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().reason == Reason::write_stalled);
}

TEST_CASE("tls.open follows the host's key updates, and seal answers them") {
  Connected connected(TLS1_3_VERSION);
  for (int i = 0; i < 10; ++i) {
    REQUIRE(SSL_key_update(connected.pair.host().ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
    connected.pair.host().write("after the update");
    REQUIRE(connected.pair.open_all() == OpenState::open);
    connected.pair.seal({"and after ours"});
  }
  CHECK(connected.pair.received().size() == 10 * 16);
  CHECK(connected.pair.host().received().size() == 10 * 14);
  CHECK_FALSE(connected.pair.host().failed());
}

TEST_CASE("tls.open ends the session, in words, when the host sends what has no place") {
  Connected connected(TLS1_3_VERSION);
  auto plain = std::vector{std::byte{20}, std::byte{3}, std::byte{3}, std::byte{0}, std::byte{1}, std::byte{1}};
  const auto opened = connected.pair.open(plain);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().reason == Reason::record_corrupt);
  CHECK(opened.error().words == "the host sent what is no valid TLS record");
  connected.pair.flush();  // the alert
  CHECK(connected.pair.host().failed());
  CHECK(connected.pair.host().last_error().contains("unexpected message"));
}

TEST_CASE("tls.seal asserts its contract") {
  // In a child, which the assertion ends.
  const auto dies = [](auto act) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::signal(SIGABRT, SIG_DFL);  // doctest's handler would report it
      std::fclose(stderr);
      act();
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  };
  Connected connected(TLS1_3_VERSION);
  auto& session = connected.pair.session();
  const auto seal = [&](std::size_t size, std::size_t room) {
    const std::string text(size, 'x');
    const std::array parts = {std::as_bytes(std::span(text))};
    std::vector<std::byte> memory(room);
    WireBuffer wire(memory);
    static_cast<void>(session.seal(parts, wire));
  };
  CHECK(dies([&] { seal(100, 99 + session.record_overhead_bytes()); }));
  CHECK(dies([&] { seal(session.record_bytes_max() + 1, 100'000); }));
  CHECK(dies([&] { seal(0, 100'000); }));
  CHECK_FALSE(dies([&] { seal(100, 100 + session.record_overhead_bytes()); }));
}

}  // namespace
}  // namespace tlsmux::test
