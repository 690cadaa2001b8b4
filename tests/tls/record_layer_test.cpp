// Both ends are ours, without a handshake.
#include <doctest/doctest.h>

#include <limits>

#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::ContentType;
using engine::tls::kGcmRecordsMax;
using engine::tls::kTls12;
using engine::tls::kTls13;
using engine::tls::OpenState;
using engine::tls::RecordFaultKind;
using engine::tls::Role;

bool is_gcm(const VersionAndSuite& suite) { return suite_of(suite).is_gcm(); }

TEST_CASE("record.data goes both ways, of any size, with either library") {
  for (const auto& suite : kRecordSuites) {
    for (const auto library : usable_libraries()) {
      for (const auto other_library : usable_libraries()) {
        RecordEnd client(made_up_state(Role::client, suite), library);
        RecordEnd server(made_up_state(Role::server, suite), other_library);
        std::string all;
        for (const std::size_t size : {1, 2, 15, 16, 17, 300, 4096, 8191, 8192, 16'383, 16'384}) {
          REQUIRE(client.seal(pattern(size)));
          const auto record = client.take_output();
          CHECK(record.size() <= size + client.layer().overhead_bytes());
          REQUIRE(server.open(record) == OpenState::open);
          REQUIRE(server.seal(pattern(size)));
          REQUIRE(client.open(server.take_output()) == OpenState::open);
          all += pattern(size);
        }
        CHECK(server.received() == all);
        CHECK(client.received() == all);
        CHECK(client.state().send_sequence == 11);
        CHECK(client.state().receive_sequence == 11);
      }
    }
  }
}

TEST_CASE("record.parts are joined in their order, few or many, large or small or empty") {
  const std::vector<std::vector<std::string>> splits = {
      {"0200", "", "0400"},
      {pattern(8192), "tail"},
      {"head", pattern(10'000), "", pattern(20), pattern(6000)},
      std::vector<std::string>(31, "31 parts"),
      std::vector<std::string>(32, "32 parts"),
      std::vector<std::string>(4096, "four"),
      std::vector<std::string>(400, pattern(40)),
  };
  for (const auto& suite : kRecordSuites) {
    for (const auto& parts : splits) {
      RecordPair pair(suite);
      std::string all;
      for (const auto& part : parts) all += part;
      REQUIRE(pair.client.seal(parts));
      REQUIRE(pair.server.open(pair.client.take_output()));
      CHECK(pair.server.received() == all);
    }
  }
}

TEST_CASE("record.open gives the same however a stream is cut") {
  for (const auto& suite : kRecordSuites) {
    RecordPair sender(suite);
    for (const std::size_t size : {1, 300, 16'384, 77}) REQUIRE(sender.client.seal(pattern(size)));
    sender.client.layer().close_notify(sender.client.wire());
    const auto stream = sender.client.take_output();
    for (const std::size_t step : {1, 2, 3, 5, 6, 7, 22, 300, 16'000, 100'000}) {
      RecordPair receiver(suite);
      CHECK(receiver.server.open(stream, step) == OpenState::closed_by_peer);
      CHECK(receiver.server.received() == pattern(1) + pattern(300) + pattern(16'384) + pattern(77));
    }
    // Every place to cut in two.
    RecordPair short_sender(suite);
    for (const std::size_t size : {1, 20, 9}) REQUIRE(short_sender.client.seal(pattern(size)));
    const auto short_stream = short_sender.client.take_output();
    for (std::size_t at = 0; at <= short_stream.size(); ++at) {
      RecordPair receiver(suite);
      REQUIRE(receiver.server.open(std::span(short_stream).first(at)));
      REQUIRE(receiver.server.open(std::span(short_stream).subspan(at)));
      REQUIRE(receiver.server.received() == pattern(1) + pattern(20) + pattern(9));
    }
  }
}

TEST_CASE("record.nothing decrypted is left behind where it was received or held") {
  for (const auto& suite : kRecordSuites) {
    RecordPair pair(suite);
    const std::string secret = "4111111111111111";
    REQUIRE(pair.client.seal(secret));
    auto record = pair.client.take_output();
    std::size_t opened = 0;
    REQUIRE(pair.server.layer().open(
        record, [&](std::span<const std::byte> plaintext) { opened += plaintext.size(); },
        [](auto) -> std::expected<void, engine::tls::Alert> { return {}; }, pair.server.wire()));
    CHECK(opened == secret.size());
    CHECK_FALSE(text_of(record).contains(secret.substr(0, 4)));
  }
}

TEST_CASE("record.keys are updated back and forth for as long as data goes") {
  for (const auto& suite : kRecordSuites) {
    if (suite.version != kTls13) continue;
    auto state = made_up_state(Role::server, suite);
    RecordEnd client(made_up_state(Role::client, suite));
    Forger server(state);
    std::string all;
    for (int round = 0; round < 500; ++round) {
      // One to three in a row, the last of which asks.
      for (int i = round % 3; i >= 0; --i) {
        REQUIRE(client.open(server.record(ContentType::handshake, {24, 0, 0, 1, i == 0 ? 1 : 0})));
        server.update_key();
      }
      REQUIRE(client.open(server.record(ContentType::application_data, bytes_of("data"))));
      all += "data";
    }
    CHECK(client.received() == all);
    CHECK(client.state().receive_sequence == 1);
    CHECK(client.state().send_sequence == 0);
    CHECK(client.take_output().empty());  // until there is data to be sent

    // The next record has one answer before it, however many asked.
    RecordEnd listener(state);
    const auto announced = client.layer().bytes_before_record();
    REQUIRE(client.seal("answer"));
    CHECK(client.layer().bytes_before_record() == 0);
    const auto output = client.take_output();
    CHECK(output.size() <= 6 + client.layer().overhead_bytes());
    CHECK(announced == 5 + 5 + 1 + 16);  // header, message, type, tag
    CHECK(std::to_integer<std::size_t>(output[3]) * 256 + std::to_integer<std::size_t>(output[4]) == announced - 5);
    REQUIRE(listener.open(output) == OpenState::open);
    CHECK(listener.received() == "answer");
    CHECK(listener.layer().is_peer_key_updated());
    CHECK(client.state().send_sequence == 1);
    REQUIRE(listener.seal("not asked in return"));
    CHECK(listener.take_output().size() < 19 + 5 + 17 + 1);
  }
}

TEST_CASE("record.a key that is used up is updated in TLS 1.3, and wears a session out in TLS 1.2") {
  for (const auto& suite : kRecordSuites) {
    auto client_state = made_up_state(Role::client, suite);
    auto server_state = made_up_state(Role::server, suite);
    client_state.send_sequence = server_state.receive_sequence = kGcmRecordsMax - 3;
    RecordEnd client(client_state);
    RecordEnd server(server_state);
    CHECK_FALSE(client.layer().is_worn_out());
    for (int i = 0; i < 5; ++i) {
      REQUIRE(client.seal("data"));
      REQUIRE(server.open(client.take_output()) == OpenState::open);
    }
    CHECK(server.received() == "datadatadatadatadata");
    const bool has_limit = is_gcm(suite);
    CHECK(client.layer().is_worn_out() == (has_limit && suite.version == kTls12));
    CHECK(server.layer().is_worn_out() == (has_limit && suite.version == kTls12));
    // Two records of data, then a KeyUpdate is the last of the old key.
    const auto expected = has_limit && suite.version == kTls13 ? 3 : kGcmRecordsMax + 2;
    CHECK(client.state().send_sequence == expected);
    CHECK(server.state().receive_sequence == expected);
  }
}

TEST_CASE("record.a peer that does not update its key in time is asked to, once") {
  for (const auto& suite : kRecordSuites) {
    if (suite.version != kTls13 || !is_gcm(suite)) continue;
    auto client_state = made_up_state(Role::client, suite);
    auto server_state = made_up_state(Role::server, suite);
    client_state.receive_sequence = server_state.send_sequence = kGcmRecordsMax;
    RecordEnd client(client_state);
    Forger server(server_state);
    RecordEnd listener(made_up_state(Role::server, suite));
    REQUIRE(client.seal("asks"));
    CHECK(client.state().send_sequence == 1);
    REQUIRE(client.seal("does not ask again"));
    CHECK(client.state().send_sequence == 2);
    REQUIRE(listener.open(client.take_output()));
    CHECK(listener.received() == "asksdoes not ask again");
    REQUIRE(listener.seal("answers"));
    CHECK(listener.state().send_sequence == 1);  // so there was a KeyUpdate before it

    // It goes on as it was for a while: what is on its way is still opened.
    REQUIRE(client.open(server.record(ContentType::application_data, bytes_of("late"))));
    REQUIRE(client.open(server.record(ContentType::handshake, {24, 0, 0, 1, 0})));
    server.update_key();
    REQUIRE(client.open(server.record(ContentType::application_data, bytes_of("fresh"))));
    CHECK(client.received() == "latefresh");
  }
}

TEST_CASE("record.sequence numbers never wrap") {
  constexpr auto kLast = std::numeric_limits<std::uint64_t>::max();
  for (const auto& suite : kRecordSuites) {
    auto client_state = made_up_state(Role::client, suite);
    auto server_state = made_up_state(Role::server, suite);
    client_state.send_sequence = server_state.receive_sequence = kLast - 1;
    RecordEnd client(client_state);
    RecordEnd server(server_state);
    REQUIRE(client.seal("the last"));
    REQUIRE(server.open(client.take_output()));
    CHECK(server.received() == "the last");
    if (suite.version == kTls13 && is_gcm(suite)) {
      CHECK(client.state().send_sequence == 1);  // a KeyUpdate was in time
      continue;
    }
    const auto refused = client.seal("one more");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == RecordFaultKind::used_up);
    CHECK(client.take_output().empty());
    CHECK_FALSE(client.seal("and ever after"));
    client.layer().close_notify(client.wire());
    CHECK(client.take_output().empty());

    // Not even for an answer to be sent, or for what a peer sends that does not mind.
    Forger careless(client_state);
    careless.skip();
    const auto opened = server.open(careless.record(ContentType::application_data, bytes_of("wraps")));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().alert == engine::tls::Alert::bad_record_mac);
  }
}

}  // namespace
}  // namespace tlsmux::test
