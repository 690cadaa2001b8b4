// What an end does when the other breaks the rules, or uses those that are rarely used.
#include <doctest/doctest.h>

#include <optional>

#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::Alert;
using engine::tls::ContentType;
using engine::tls::kTls12;
using engine::tls::kTls13;
using engine::tls::OpenState;
using engine::tls::RecordFaultKind;
using engine::tls::Role;

// A client, and what its host may send it.
struct Attacked {
  explicit Attacked(const VersionAndSuite& suite, Role role = Role::client)
      : end(made_up_state(role, suite)),
        peer(made_up_state(other(role), suite)),
        listener(made_up_state(other(role), suite)) {}

  // Nothing: it was opened.
  std::optional<Alert> verdict(std::span<const std::byte> bytes) {
    const auto opened = end.open(bytes);
    if (opened) return std::nullopt;
    CHECK_FALSE(end.open({}));  // and stays so
    CHECK_FALSE(end.seal("more"));
    CHECK(opened.error().kind == RecordFaultKind::invalid);
    CHECK_FALSE(opened.error().words.empty());
    // The other side is told.
    const auto told = listener.open(end.take_output());
    REQUIRE_FALSE(told);
    CHECK(told.error().kind == RecordFaultKind::alerted);
    CHECK(told.error().alert == opened.error().alert);
    return opened.error().alert;
  }

  RecordEnd end;
  Forger peer;
  RecordEnd listener;
};

// Of each version, with any of its suites.
std::vector<VersionAndSuite> suites_of(std::uint16_t version) {
  std::vector<VersionAndSuite> suites;
  for (const auto& suite : kRecordSuites) {
    if (suite.version == version) suites.push_back(suite);
  }
  return suites;
}

Bytes with_header(Bytes record, std::size_t length) {
  record.at(3) = std::byte(length >> 8);
  record.at(4) = std::byte(length);
  record.resize(5 + length);
  return record;
}

TEST_CASE("record.a change of any bit is noticed") {
  for (const auto& suite : kRecordSuites) {
    Bytes original;
    {
      Attacked attacked(suite);
      original = attacked.peer.record(ContentType::application_data, bytes_of("0210 an answer"));
    }
    for (std::size_t bit = 0; bit < original.size() * 8; ++bit) {
      auto record = original;
      record[bit / 8] ^= std::byte{1} << (bit % 8);
      const std::size_t length = std::to_integer<std::size_t>(record[3]) << 8 | std::to_integer<std::size_t>(record[4]);
      record.resize(std::max(record.size(), 5 + length));
      Attacked attacked(suite);
      REQUIRE(attacked.verdict(record).has_value());
      REQUIRE(attacked.end.received().empty());
    }
  }
}

TEST_CASE("record.what is replayed, reordered, left out or cut off is noticed") {
  for (const auto& suite : kRecordSuites) {
    Attacked source(suite);
    const auto first = source.peer.record(ContentType::application_data, bytes_of("first"));
    const auto second = source.peer.record(ContentType::application_data, bytes_of("second"));

    Attacked replayed(suite);
    CHECK_FALSE(replayed.verdict(first));
    CHECK(replayed.verdict(first) == Alert::bad_record_mac);
    CHECK(replayed.end.received() == "first");

    Attacked reordered(suite);
    CHECK(reordered.verdict(second) == Alert::bad_record_mac);

    // A record that lacks its end swallows the next one.
    Attacked cut(suite);
    Bytes stream(first.begin(), first.end() - 1);
    stream.insert(stream.end(), second.begin(), second.end());
    CHECK(cut.verdict(stream) == Alert::bad_record_mac);

    // A stream that just ends is no fault of its records: whether it was closed is what open() says.
    Attacked ended(suite);
    CHECK(ended.end.open(std::span(first).first(first.size() - 1)) == OpenState::open);
    CHECK(ended.end.received().empty());

    // Of the other direction, of another session.
    Attacked reflected(suite);
    REQUIRE(reflected.end.seal("echo"));
    const auto echo = reflected.end.take_output();
    CHECK(reflected.end.open(echo).error().alert == Alert::bad_record_mac);
  }
}

TEST_CASE("record.lengths are judged before the record has come") {
  for (const auto& suite : kRecordSuites) {
    const auto overhead = suite_of(suite).overhead_bytes() - 5;
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, overhead - 1}) {
      Attacked attacked(suite);
      auto record = attacked.peer.record(ContentType::application_data, bytes_of("x"));
      CHECK(attacked.verdict(with_header(record, length)) == Alert::bad_record_mac);
    }
    for (const std::size_t length :
         {16'384 + overhead + 1, std::size_t{16'640}, std::size_t{16'641}, std::size_t{65'535}}) {
      Attacked attacked(suite);
      auto record = attacked.peer.record(ContentType::application_data, bytes_of("x"));
      record = with_header(record, length);
      record.resize(5);
      CHECK(attacked.verdict(record) == Alert::record_overflow);
    }
    Attacked largest(suite);
    CHECK_FALSE(largest.verdict(largest.peer.record(ContentType::application_data, bytes_of(pattern(16'384)))));
    CHECK(largest.end.received() == pattern(16'384));
  }
}

TEST_CASE("record.plaintext and unknown records have no place in TLS 1.3") {
  for (const auto& suite : suites_of(kTls13)) {
    for (const int type : {0, 20, 21, 22, 24, 255}) {
      Attacked attacked(suite);
      const Bytes plain = {std::byte(type), std::byte{3}, std::byte{3}, std::byte{0}, std::byte{1}, std::byte{1}};
      CHECK(attacked.verdict(plain) == Alert::unexpected_message);
    }
    for (const int type : {1, 20, 24, 99, 255}) {
      Attacked attacked(suite);
      CHECK(attacked.verdict(attacked.peer.odd_record(type, Bytes(1))) == Alert::unexpected_message);
    }
  }
}

TEST_CASE("record.types and versions of TLS 1.2 are checked") {
  for (const auto& suite : suites_of(kTls12)) {
    Attacked spec(suite);
    CHECK(spec.verdict(spec.peer.record(ContentType::change_cipher_spec, {1})) == Alert::unexpected_message);
    Attacked unknown(suite);
    CHECK(unknown.verdict(unknown.peer.odd_record(24, Bytes(1))) == Alert::unexpected_message);
    Attacked version(suite);
    auto record = version.peer.record(ContentType::application_data, {1});
    record[2] = std::byte{1};
    CHECK(version.verdict(record) == Alert::protocol_version);
  }
}

TEST_CASE("record.padding of TLS 1.3 is taken off, and cannot be all there is") {
  for (const auto& suite : suites_of(kTls13)) {
    Attacked padded(suite);
    for (const std::size_t zeros : {1U, 2U, 15U, 16U, 17U, 255U, 1000U}) {
      REQUIRE_FALSE(padded.verdict(padded.peer.padded(ContentType::application_data, bytes_of("x"), zeros)));
    }
    CHECK(padded.end.received() == "xxxxxxx");
    // Content may end in zeros itself.
    Bytes content = bytes_of("end");
    content.resize(10);
    REQUIRE_FALSE(padded.verdict(padded.peer.padded(ContentType::application_data, content, 4)));
    CHECK(padded.end.received() == "xxxxxxx" + text_of(content));
    // To the limit.
    REQUIRE_FALSE(padded.verdict(padded.peer.padded(ContentType::application_data, bytes_of("y"), 16'383)));

    Attacked hollow(suite);
    CHECK(hollow.verdict(hollow.peer.odd_record(0, Bytes(100))) == Alert::unexpected_message);
    Attacked empty(suite);
    CHECK(empty.verdict(empty.peer.odd_record(0, {})) == Alert::unexpected_message);
  }
}

TEST_CASE("record.messages without data come to an end") {
  const auto flood = [](const VersionAndSuite& suite, auto next) {
    Attacked attacked(suite);
    for (int i = 0; i < 64; ++i) REQUIRE_FALSE(attacked.verdict(next(attacked.peer)));
    // Data starts the count anew.
    REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::application_data, bytes_of("data"))));
    for (int i = 0; i < 64; ++i) REQUIRE_FALSE(attacked.verdict(next(attacked.peer)));
    const auto ended = attacked.end.open(next(attacked.peer));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().alert == Alert::unexpected_message);
  };
  for (const auto& suite : kRecordSuites) {
    flood(suite, [](Forger& peer) { return peer.record(ContentType::application_data, Bytes{}); });
    if (suite.version == kTls13) {
      flood(suite, [](Forger& peer) {
        auto record = peer.record(ContentType::handshake, {24, 0, 0, 1, 1});
        peer.update_key();
        return record;
      });
      flood(suite, [](Forger& peer) { return peer.record(ContentType::handshake, {4, 0, 0, 1, 7}); });
    } else {
      flood(suite, [](Forger& peer) { return peer.record(ContentType::handshake, {0, 0, 0, 0}); });
      flood(suite, [](Forger& peer) { return peer.record(ContentType::alert, {1, 90}); });
    }
  }
}

TEST_CASE("record.key updates must be well-formed and end their record") {
  for (const auto& suite : suites_of(kTls13)) {
    const auto verdict = [&](std::initializer_list<int> content) {
      Attacked attacked(suite);
      return attacked.verdict(attacked.peer.record(ContentType::handshake, content));
    };
    CHECK(verdict({24, 0, 0, 0}) == Alert::decode_error);
    CHECK(verdict({24, 0, 0, 2, 0, 0}) == Alert::decode_error);
    CHECK(verdict({24, 0, 0, 1, 2}) == Alert::illegal_parameter);
    CHECK(verdict({24, 0, 0, 1, 255}) == Alert::illegal_parameter);
    CHECK(verdict({24, 0, 0, 1, 0, 24}) == Alert::unexpected_message);
    CHECK(verdict({24, 0, 0, 1, 0, 24, 0, 0, 1, 0}) == Alert::unexpected_message);
    // Behind a ticket it may stand.
    Attacked attacked(suite);
    CHECK_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, {4, 0, 0, 2, 8, 9, 24, 0, 0, 1, 0})));
    CHECK(attacked.end.tickets().size() == 1);
    // What comes afterwards under the old key is refused.
    CHECK(attacked.verdict(attacked.peer.record(ContentType::application_data, {1})) == Alert::bad_record_mac);
  }
}

TEST_CASE("record.handshake messages are joined across records, and nothing comes between") {
  for (const auto& suite : suites_of(kTls13)) {
    Bytes message = {std::byte{4}, std::byte{0}, std::byte{3}, std::byte{0}};
    for (int i = 0; i < 0x300; ++i) message.push_back(std::byte(i));
    for (const std::size_t first :
         {std::size_t{1}, std::size_t{3}, std::size_t{4}, std::size_t{5}, message.size() - 1}) {
      Attacked attacked(suite);
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, std::span(message).first(first))));
      CHECK(attacked.end.tickets().empty());
      // Its end, a second whole one and the beginning of a third.
      Bytes rest(message.begin() + static_cast<std::ptrdiff_t>(first), message.end());
      rest.insert(rest.end(), message.begin(), message.end());
      rest.insert(rest.end(), message.begin(), message.begin() + 10);
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, rest)));
      CHECK(attacked.end.tickets() == std::vector{message, message});
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, std::span(message).subspan(10))));
      CHECK(attacked.end.tickets().size() == 3);
      // A KeyUpdate in pieces.
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, {24, 0})));
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, {0, 1, 0})));
      attacked.peer.update_key();
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::application_data, bytes_of("goes on"))));
      CHECK(attacked.end.received() == "goes on");
    }
    for (const auto type : {ContentType::application_data, ContentType::alert}) {
      Attacked attacked(suite);
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, {4, 0, 0, 9, 1})));
      CHECK(attacked.verdict(attacked.peer.record(type, {1, 90})) == Alert::unexpected_message);
      CHECK(attacked.end.received().empty());
    }
    Attacked empty(suite);
    CHECK(empty.verdict(empty.peer.record(ContentType::handshake, Bytes{})) == Alert::unexpected_message);
    Attacked huge(suite);
    CHECK(huge.verdict(huge.peer.record(ContentType::handshake, {4, 1, 0, 0, 1})) == Alert::decode_error);
  }
}

TEST_CASE("record.handshake messages that have no place are refused") {
  for (const auto& suite : suites_of(kTls13)) {
    for (const int type : {0, 1, 2, 8, 11, 13, 15, 20, 254}) {  // CertificateRequest too: it was not offered
      Attacked attacked(suite);
      CHECK(attacked.verdict(attacked.peer.record(ContentType::handshake, {type, 0, 0, 0})) ==
            Alert::unexpected_message);
    }
    Attacked server(suite, Role::server);
    CHECK(server.verdict(server.peer.record(ContentType::handshake, {4, 0, 0, 1, 7})) == Alert::unexpected_message);
    Attacked updated(suite, Role::server);
    CHECK_FALSE(updated.verdict(updated.peer.record(ContentType::handshake, {24, 0, 0, 1, 0})));
  }
  for (const auto& suite : suites_of(kTls12)) {
    for (const int type : {1, 2, 4, 20, 24}) {
      Attacked attacked(suite);
      CHECK(attacked.verdict(attacked.peer.record(ContentType::handshake, {type, 0, 0, 0})) ==
            Alert::unexpected_message);
    }
    Attacked server(suite, Role::server);
    CHECK(server.verdict(server.peer.record(ContentType::handshake, {0, 0, 0, 0})) == Alert::unexpected_message);
  }
}

TEST_CASE("record.renegotiation is refused with a warning, once for each record that asks, and data goes on") {
  for (const auto& suite : suites_of(kTls12)) {
    for (const auto role : {Role::client, Role::server}) {
      Attacked attacked(suite, role);
      const int asking = role == Role::client ? 0 : 1;
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::handshake, {asking, 0, 0, 0, asking, 0, 0, 0})));
      CHECK(attacked.end.state().send_sequence == 1);
      REQUIRE_FALSE(attacked.verdict(attacked.peer.record(ContentType::application_data, bytes_of("goes on"))));
      REQUIRE(attacked.end.seal("so do we"));
      REQUIRE(attacked.listener.open(attacked.end.take_output()) == OpenState::open);
      CHECK(attacked.listener.received() == "so do we");
      CHECK(attacked.end.received() == "goes on");

      // There must be room for the warning.
      const auto room = attacked.end.wire().room();
      attacked.end.wire().commit(room - 10);
      const auto refused = attacked.end.open(attacked.peer.record(ContentType::handshake, {asking, 0, 0, 0}));
      REQUIRE_FALSE(refused);
      CHECK(refused.error().kind == RecordFaultKind::no_room);
    }
  }
}

TEST_CASE("record.alerts end the session, close its half, or are passed over") {
  for (const auto& suite : kRecordSuites) {
    Attacked fatal(suite);
    const auto ended = fatal.end.open(fatal.peer.record(ContentType::alert, {2, 40}));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().kind == RecordFaultKind::alerted);
    CHECK(ended.error().alert == Alert::handshake_failure);
    CHECK(fatal.end.take_output().empty());  // an alert is not answered with one

    Attacked closing(suite);
    auto stream = closing.peer.record(ContentType::application_data, bytes_of("last words"));
    for (const auto& record : {closing.peer.record(ContentType::alert, {1, 0}),
                               closing.peer.record(ContentType::application_data, bytes_of("unheard"))}) {
      stream.insert(stream.end(), record.begin(), record.end());
    }
    stream.push_back(std::byte{99});
    CHECK(closing.end.open(stream) == OpenState::closed_by_peer);
    CHECK(closing.end.open(stream) == OpenState::closed_by_peer);
    CHECK(closing.end.received() == "last words");
    REQUIRE(closing.end.seal("the other half is open"));
    closing.end.layer().close_notify(closing.end.wire());
    CHECK(closing.listener.open(closing.end.take_output()) == OpenState::closed_by_peer);
    CHECK(closing.listener.received() == "the other half is open");

    Attacked canceled(suite);
    CHECK_FALSE(canceled.verdict(canceled.peer.record(ContentType::alert, {1, 90})));
    // Another warning is one in TLS 1.2 only.
    const auto warned = canceled.end.open(canceled.peer.record(ContentType::alert, {1, 112}));
    CHECK(warned.has_value() == (suite.version == kTls12));

    for (const auto& content : {Bytes(1), Bytes(3), Bytes{}, Bytes(4)}) {
      Attacked malformed(suite);
      CHECK(malformed.verdict(malformed.peer.record(ContentType::alert, content)) == Alert::decode_error);
    }
  }
}

TEST_CASE("record.alerts of ours say nothing when there is no room") {
  for (const auto& suite : kRecordSuites) {
    Attacked attacked(suite);
    attacked.end.wire().commit(attacked.end.wire().room() - 10);
    const auto before = attacked.end.wire().room();
    attacked.end.layer().close_notify(attacked.end.wire());
    CHECK_FALSE(attacked.end.open(attacked.peer.odd_record(99, Bytes(1))));
    CHECK(attacked.end.wire().room() == before);
  }
}

}  // namespace
}  // namespace tlsmux::test
