#include "tests/tls/record_check.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "tests/tls/mbedtls_end.hpp"
#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::ContentType;
using engine::tls::kTls13;
using engine::tls::OpenState;
using engine::tls::Role;
using engine::tls::SessionState;

// Bytes to make decisions of; zeros behind the end.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> data) : data_(data) {}
  [[nodiscard]] bool empty() const { return data_.empty(); }
  std::size_t next() {
    if (data_.empty()) return 0;
    const auto value = data_.front();
    data_ = data_.subspan(1);
    return value;
  }
  std::size_t next_16() { return next() << 8 | next(); }

 private:
  std::span<const std::uint8_t> data_;
};

// One handshake for each suite; its client's records are opened again and again from where it ended.
struct Session {
  explicit Session(const VersionAndSuite& suite)
      : client(std::make_unique<MbedtlsEnd>(Role::client, suite)), server(Role::server, suite) {
    Bytes to_server;
    Bytes to_client;
    bool client_is_done = client->handshake({}, to_server);
    bool server_is_done = false;
    while (!client_is_done || !server_is_done) {
      if (!server_is_done) server_is_done = server.handshake(std::exchange(to_server, {}), to_client);
      if (!client_is_done) client_is_done = client->handshake(std::exchange(to_client, {}), to_server);
    }
    state = client->state();
    peer_state = server.state();
    peer_state.send_sequence = state.receive_sequence;  // as if it had sent no tickets
  }
  std::unique_ptr<MbedtlsEnd> client;
  MbedtlsEnd server;
  SessionState state;
  SessionState peer_state;
};

enum class End { none, closed, fault };

// The stream, and what should come of it.
struct Stream {
  Bytes bytes;
  std::string text;           // up to the end
  End end = End::none;        // at the latest when the record is whole
  bool end_may_wait = false;  // it is a fault only once more bytes have come
  bool only_we_know = false;  // mbedTLS follows another rule somewhere
};

// An odd host.
class Sender {
 public:
  Sender(const SessionState& state, Stream& stream)
      : forger_(state), is_1_3_(state.version == kTls13), stream_(stream) {}

  void step(Choices& choices) {
    constexpr auto kAlerts = std::to_array<int>({90, 90, 100, 112, 80, 40, 20, 255});
    switch (choices.next() % 24) {
      case 0: return data(engine::tls::kPlaintextBytesMax - choices.next());
      case 1: return close();
      case 2: return raw(choices);
      case 3: return mutated(choices);
      case 4: return skipped();
      case 5: return replayed();
      case 6: return odd_type(choices);
      case 7:
      case 8:
      case 9: return alert(choices.next(), kAlerts.at(choices.next() % kAlerts.size()));
      case 10:
      case 11: return empties_ < 3 ? data(0) : data(1);  // mbedTLS ends the session at the fourth in a row
      case 12:
      case 13:
      case 14: return is_1_3_ ? padded(choices.next_16() % 500, 1 + choices.next()) : data(2);
      case 15:
      case 16: return is_1_3_ ? data(3) : hello_request();
      default: return data(1 + choices.next_16() % 700);
    }
  }

 private:
  void add(const Bytes& record) {
    last_ = record;
    stream_.bytes.insert(stream_.bytes.end(), record.begin(), record.end());
  }
  void add(const Bytes& record, End end, bool may_wait = false) {
    add(record);
    stream_.end = end;
    stream_.end_may_wait = may_wait;
  }
  void data(std::size_t size) {
    const auto text = pattern(size);
    add(forger_.record(ContentType::application_data, bytes_of(text)));
    stream_.text += text;
    empties_ = size == 0 ? empties_ + 1 : 0;
  }
  void padded(std::size_t size, std::size_t zeros) {
    if (size == 0 && empties_ >= 3) size = 1;
    const auto text = pattern(size);
    add(forger_.padded(ContentType::application_data, bytes_of(text), zeros));
    stream_.text += text;
    empties_ = size == 0 ? empties_ + 1 : 0;
  }
  void alert(std::size_t level, int description) {
    const bool is_warning = level % 2 == 1;
    const bool is_ignored = is_1_3_ ? description == 90 : is_warning;
    add(forger_.record(ContentType::alert, {is_warning ? 1 : 2, description}));
    // mbedTLS goes by the level in TLS 1.3 too. What it makes of the rest of the stream says nothing then.
    if (is_ignored != is_warning) stream_.only_we_know = true;
    if (!is_ignored) stream_.end = End::fault;
    empties_ = 0;
  }
  void close() { add(forger_.record(ContentType::alert, {1, 0}), End::closed); }
  void raw(Choices& choices) {
    Bytes bytes;
    for (std::size_t i = 1 + choices.next() % 40; i > 0; --i) bytes.push_back(std::byte(choices.next()));
    add(bytes, End::fault, true);
  }
  void mutated(Choices& choices) {
    auto record = forger_.record(ContentType::application_data, bytes_of(pattern(choices.next())));
    const auto bit = choices.next_16() % (record.size() * 8);
    record[bit / 8] ^= std::byte{1} << (bit % 8);
    add(record, End::fault, true);
  }
  void skipped() {
    forger_.skip();
    add(forger_.record(ContentType::application_data, bytes_of("behind what is missing")), End::fault);
  }
  void replayed() {
    if (!last_.empty()) add(Bytes(last_), End::fault);
  }
  void odd_type(Choices& choices) {
    const auto type = choices.next();
    if (type >= 20 && type <= 23) return data(4);
    if (type == 0) return data(5);  // in TLS 1.3 that would be padding
    add(forger_.odd_record(static_cast<int>(type), bytes_of("odd")), End::fault);
  }
  void hello_request() {
    add(forger_.record(ContentType::handshake, {0, 0, 0, 0}));
    empties_ = 0;
  }

  Forger forger_;
  bool is_1_3_;
  Stream& stream_;
  Bytes last_;
  int empties_ = 0;
};

End end_of(const MbedtlsEnd::Read& read) {
  if (read.code == 0) return End::none;
  return read.code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? End::closed : End::fault;
}

bool fits(End end, const Stream& stream) { return end == stream.end || (stream.end_may_wait && end == End::none); }

std::string compare(const Stream& stream, const SessionState& state, MbedtlsEnd& theirs, std::size_t step) {
  RecordEnd ours(state);
  const auto opened = ours.open(stream.bytes, step);
  const auto our_end = !opened ? End::fault : *opened == OpenState::closed_by_peer ? End::closed : End::none;
  if (ours.received() != stream.text) return "we opened something else than was sealed";
  if (!fits(our_end, stream)) return "we ended otherwise than expected";

  theirs.rewind(state.receive_sequence);
  const auto read = theirs.read(stream.bytes);
  if (stream.only_we_know) return {};
  if (read.text != stream.text) return "mbedTLS opened something else than we";
  if (!fits(end_of(read), stream)) return "mbedTLS ended otherwise, with " + std::to_string(read.code);
  return {};
}

}  // namespace

std::string check_record_case(std::span<const std::uint8_t> data) {
  static std::array<std::unique_ptr<Session>, kRecordSuites.size()> sessions;
  constexpr std::size_t kStepsMax = 50;  // fewer than make us end a session that brings no data
  Choices choices(data);
  const auto first = choices.next();
  auto& session = sessions.at(first % sessions.size());
  if (session == nullptr) session = std::make_unique<Session>(kRecordSuites.at(first % sessions.size()));

  Stream stream;
  Sender sender(session->peer_state, stream);
  for (std::size_t i = 0; i < kStepsMax && !choices.empty() && stream.end == End::none; ++i) sender.step(choices);
  constexpr std::array<std::size_t, 4> kPieces = {1, 7, 1400, 1 << 20};
  return compare(stream, session->state, *session->client, kPieces.at(first / sessions.size() % kPieces.size()));
}

}  // namespace tlsmux::test
