#include "tests/support/plain_tls.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::test {

using engine::tls::HandshakeState;
using engine::tls::OpenState;
using engine::tls::PeerFacts;
using engine::tls::TlsError;
using engine::tls::WireBuffer;

namespace {

constexpr std::string_view kClientHello = "plain client hello";
constexpr std::string_view kHostHello = "plain host hello";

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::array<std::byte, kPlainHeaderBytes> header_of(PlainType type, std::size_t length) {
  TMX_ASSERT(length <= kPlainRecordBytesMax);
  return {std::byte(type), std::byte(length >> 24), std::byte(length >> 16), std::byte(length >> 8), std::byte(length)};
}

void append(std::vector<std::byte>& output, std::span<const std::byte> bytes) {
  output.insert(output.end(), bytes.begin(), bytes.end());
}

void append_record(std::vector<std::byte>& output, PlainType type, std::span<const std::byte> content) {
  append(output, header_of(type, content.size()));
  append(output, content);
}

bool is_hello(const PlainRecord& record, std::string_view hello) {
  return record.type == PlainType::hello && std::ranges::equal(record.content, bytes_of(hello));
}

TlsError refusal_error(std::span<const std::byte> content) {
  if (content.size() != 2) return {shm::Reason::handshake_failed, "the host sent a malformed refusal"};
  const auto value =
      static_cast<std::uint16_t>((std::to_integer<unsigned>(content[0]) << 8) | std::to_integer<unsigned>(content[1]));
  return {static_cast<shm::Reason>(value), "the host refused as its script says"};
}

}  // namespace

PlainRecordCutter::PlainRecordCutter() : record_{} {}

std::expected<std::optional<PlainRecord>, std::string> PlainRecordCutter::next(std::span<const std::byte>& received) {
  const auto fill_to = [&](std::size_t size) {
    const std::size_t count = std::min(size - held_, received.size());
    shm::copy_bytes(std::span(record_).subspan(held_), received.first(count));
    held_ += count;
    received = received.subspan(count);
    return held_ == size;
  };
  if (held_ < kPlainHeaderBytes && !fill_to(kPlainHeaderBytes)) return std::nullopt;

  std::size_t length = 0;
  for (std::size_t i = 1; i < kPlainHeaderBytes; ++i) {
    length = (length << 8) | std::to_integer<std::size_t>(record_[i]);
  }
  const auto type = std::to_integer<std::uint8_t>(record_[0]);
  if (type < std::uint8_t(PlainType::hello) || type > std::uint8_t(PlainType::close_notify)) {
    return std::unexpected("no record type: " + std::to_string(type));
  }
  if (length > kPlainRecordBytesMax) {
    return std::unexpected("a record of " + std::to_string(length) + " bytes");
  }
  if (!fill_to(kPlainHeaderBytes + length)) return std::nullopt;
  held_ = 0;
  return PlainRecord{static_cast<PlainType>(type), std::span(record_).subspan(kPlainHeaderBytes, length)};
}

PlainTlsSession::PlainTlsSession(std::optional<TlsError> failure) : failure_(std::move(failure)) {}

std::expected<HandshakeState, TlsError> PlainTlsSession::handshake(std::span<const std::byte> received,
                                                                   std::vector<std::byte>& output) {
  TMX_ASSERT(state_ != State::done);
  if (state_ == State::start) {
    append_record(output, PlainType::hello, bytes_of(kClientHello));
    state_ = State::hello_sent;
  }
  const auto record = cutter_.next(received);
  if (!record) return std::unexpected(TlsError{shm::Reason::handshake_failed, record.error()});
  if (!*record) return HandshakeState::wants_bytes;
  if ((*record)->type == PlainType::refusal) return std::unexpected(refusal_error((*record)->content));
  if (!is_hello(**record, kHostHello)) {
    return std::unexpected(TlsError{shm::Reason::handshake_failed, "the host sent no hello"});
  }
  if (failure_) {
    append_record(output, PlainType::close_notify, {});
    return std::unexpected(*failure_);
  }
  leftover_.assign(received.begin(), received.end());
  state_ = State::done;
  return HandshakeState::done;
}

PeerFacts PlainTlsSession::peer_facts() const {
  TMX_ASSERT(state_ == State::done);
  return {.version = "plain", .suite = "NULL", .certificate_expires_s = 0, .resumed = false};
}

std::expected<void, TlsError> PlainTlsSession::seal(std::span<const std::span<const std::byte>> parts,
                                                    WireBuffer& wire) {
  TMX_ASSERT(state_ == State::done);
  std::size_t length = 0;
  for (const auto part : parts) length += part.size();
  TMX_ASSERT(length > 0);
  wire.append(header_of(PlainType::data, length));
  for (const auto part : parts) wire.append(part);
  return {};
}

std::expected<OpenState, TlsError> PlainTlsSession::open(
    std::span<std::byte> received, shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
    WireBuffer& /*wire*/) {
  TMX_ASSERT(state_ == State::done);
  const auto leftover = std::exchange(leftover_, {});
  for (auto bytes : {std::span<const std::byte>(leftover), std::span<const std::byte>(received)}) {
    while (open_state_ == OpenState::open) {
      const auto record = cutter_.next(bytes);
      if (!record) return std::unexpected(TlsError{shm::Reason::record_corrupt, record.error()});
      if (!*record) break;
      if ((*record)->type == PlainType::data) {
        if (!(*record)->content.empty()) on_plaintext((*record)->content);
      } else if ((*record)->type == PlainType::close_notify) {
        open_state_ = OpenState::closed_by_peer;
      } else {
        return std::unexpected(TlsError{shm::Reason::record_corrupt, "a handshake record among the data"});
      }
    }
  }
  return open_state_;
}

void PlainTlsSession::close_notify(WireBuffer& wire) {
  if (wire.room() >= kPlainHeaderBytes) wire.append(header_of(PlainType::close_notify, 0));
}

std::expected<std::unique_ptr<engine::tls::TlsSession>, TlsError> PlainTlsClient::start(
    const std::string& server_name) {
  const std::lock_guard lock(mutex_);
  ++started_;
  last_server_name_ = server_name;
  return std::make_unique<PlainTlsSession>(failure_);
}

void PlainTlsClient::fail_handshakes(std::optional<TlsError> failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
}

std::size_t PlainTlsClient::started() const {
  const std::lock_guard lock(mutex_);
  return started_;
}

std::string PlainTlsClient::last_server_name() const {
  const std::lock_guard lock(mutex_);
  return last_server_name_;
}

PlainTlsHost::State PlainTlsHost::receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                                          std::vector<std::byte>& output) {
  while (state_ == State::handshake || state_ == State::open) {
    const auto record = cutter_.next(received);
    if (!record) return state_ = State::corrupt;
    if (!*record) break;
    if ((*record)->type == PlainType::close_notify) {
      state_ = State::closed_by_client;
    } else if (state_ == State::handshake && is_hello(**record, kClientHello)) {
      append_record(output, PlainType::hello, bytes_of(kHostHello));
      state_ = State::open;
    } else if (state_ == State::open && (*record)->type == PlainType::data) {
      append(plaintext, (*record)->content);
    } else {
      state_ = State::corrupt;
    }
  }
  return state_;
}

void PlainTlsHost::seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output) {
  while (!plaintext.empty()) {
    const auto content = plaintext.first(std::min(plaintext.size(), kPlainRecordBytesMax));
    append_record(output, PlainType::data, content);
    plaintext = plaintext.subspan(content.size());
  }
}

void PlainTlsHost::close_notify(std::vector<std::byte>& output) { append_record(output, PlainType::close_notify, {}); }

void PlainTlsHost::refuse(shm::Reason reason, std::vector<std::byte>& output) {
  const auto value = static_cast<std::uint16_t>(reason);
  append_record(output, PlainType::refusal, std::array{std::byte(value >> 8), std::byte(value)});
}

}  // namespace tlsmux::test
