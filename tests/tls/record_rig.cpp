#include "tests/tls/record_rig.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::test {

using engine::tls::AeadLibrary;
using engine::tls::Alert;
using engine::tls::ContentType;
using engine::tls::OpenState;
using engine::tls::RecordFault;
using engine::tls::Role;
using engine::tls::SessionState;

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

engine::tls::RecordSuite suite_of(const VersionAndSuite& suite) {
  const auto found = engine::tls::record_suite(suite.version, suite.suite);
  TMX_ASSERT(found.has_value());
  return *found;
}

std::vector<AeadLibrary> usable_libraries() {
  std::vector<AeadLibrary> libraries;
  for (const auto library : {AeadLibrary::ipsec_mb, AeadLibrary::mbedtls}) {
    if (engine::tls::aead_is_usable(library)) libraries.push_back(library);
  }
  return libraries;
}

SessionState made_up_state(Role role, const VersionAndSuite& suite) {
  const auto fill = [](auto& target, std::uint8_t first) {
    for (auto& byte : target) byte = first++;
  };
  SessionState state{.role = role, .version = suite.version, .suite = suite.suite};
  const auto hash = suite_of(suite).hash;
  state.secret_bytes = suite.version == engine::tls::kTls12 ? std::uint8_t{48}
                                                            : static_cast<std::uint8_t>(engine::tls::hash_bytes(hash));
  fill(state.client_secret, 1);
  fill(state.server_secret, 60);
  fill(state.master_secret, 120);
  fill(state.client_random, 180);
  fill(state.server_random, 220);
  return state;
}

RecordEnd::RecordEnd(const SessionState& state, AeadLibrary library)
    : state_(state),
      layer_(engine::tls::RecordLayer::make(state_, library)),
      wire_memory_(128'000),
      wire_(wire_memory_) {}

std::expected<void, RecordFault> RecordEnd::seal(std::string_view text) {
  const std::array parts = {std::as_bytes(std::span(text))};
  return layer_->seal(parts, wire_);
}

std::expected<void, RecordFault> RecordEnd::seal(const std::vector<std::string>& parts) {
  std::vector<std::span<const std::byte>> spans;
  spans.reserve(parts.size());
  for (const auto& part : parts) spans.push_back(std::as_bytes(std::span(part)));
  return layer_->seal(spans, wire_);
}

Bytes RecordEnd::take_output() {
  const auto pending = wire_.pending();
  Bytes output(pending.begin(), pending.end());
  wire_.accept(output.size());
  return output;
}

std::expected<OpenState, RecordFault> RecordEnd::open(std::span<const std::byte> bytes, std::size_t step) {
  std::expected<OpenState, RecordFault> state = OpenState::open;
  do {
    Bytes piece(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(step, bytes.size())));
    bytes = bytes.subspan(piece.size());
    state = layer_->open(
        piece, [&](std::span<const std::byte> plaintext) { received_ += text_of(plaintext); },
        [&](std::span<const std::byte> message) -> std::expected<void, Alert> {
          tickets_.emplace_back(message.begin(), message.end());
          return {};
        },
        wire_);
  } while (!bytes.empty() && state);
  return state;
}

Forger::Forger(const SessionState& state) : state_(state), suite_(suite_of({state.version, state.suite})) {
  engine::tls::Wiped<engine::tls::KeyBlock> keys;
  if (suite_.version == engine::tls::kTls13) {
    derive_traffic_key(suite_, traffic_secret(state_, Role::client), keys->client);
    derive_traffic_key(suite_, traffic_secret(state_, Role::server), keys->server);
  } else {
    TMX_ASSERT(derive_key_block(suite_, state_, *keys));
  }
  protection_ = engine::tls::RecordProtection::make(suite_, AeadLibrary::mbedtls,
                                                    state_.role == Role::client ? keys->client : keys->server);
}

Bytes Forger::record(ContentType type, std::span<const std::byte> content) {
  Bytes output(content.size() + suite_.overhead_bytes());
  const std::array parts = {content};
  output.resize(protection_->seal(state_.send_sequence++, type, parts, output));
  return output;
}

Bytes Forger::record(ContentType type, std::initializer_list<int> content) {
  Bytes bytes;
  for (const int value : content) bytes.push_back(std::byte(value));
  return record(type, bytes);
}

Bytes Forger::odd_record(int type, std::span<const std::byte> content) {
  // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): hence odd
  return record(static_cast<ContentType>(type), content);
}

// What is sealed last is the type: here one of the zeros.
Bytes Forger::padded(ContentType type, std::span<const std::byte> content, std::size_t zeros) {
  TMX_ASSERT(zeros > 0);
  Bytes inner(content.begin(), content.end());
  inner.push_back(std::byte(type));
  inner.resize(inner.size() + zeros - 1);
  return odd_record(0, inner);
}

void Forger::update_key() {
  protection_->advance_key(traffic_secret(state_, state_.role));
  state_.send_sequence = 0;
}

}  // namespace tlsmux::test
