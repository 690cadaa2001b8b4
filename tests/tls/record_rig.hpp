// Record layers without a handshake: both ends begin with the same made-up secrets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tls/record/record_layer.hpp"
#include "engine/tls/record/record_protection.hpp"
#include "engine/tls/session_state.hpp"
#include "engine/tls/wire_buffer.hpp"

namespace tlsmux::test {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text);
std::string text_of(std::span<const std::byte> bytes);
// Of readable characters that differ from place to place.
std::string pattern(std::size_t size);

struct VersionAndSuite {
  std::uint16_t version;
  std::uint16_t suite;
};
// One of each: both versions with AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305.
inline constexpr auto kRecordSuites = std::to_array<VersionAndSuite>({{engine::tls::kTls13, 0x1301},
                                                                      {engine::tls::kTls13, 0x1302},
                                                                      {engine::tls::kTls13, 0x1303},
                                                                      {engine::tls::kTls12, 0xC02B},
                                                                      {engine::tls::kTls12, 0xC02C},
                                                                      {engine::tls::kTls12, 0xCCA9}});
engine::tls::RecordSuite suite_of(const VersionAndSuite& suite);
// Those that this processor can use.
std::vector<engine::tls::AeadLibrary> usable_libraries();

// The state of a session between a client and a server, the same for the same arguments but for the role.
engine::tls::SessionState made_up_state(engine::tls::Role role, const VersionAndSuite& suite);

// One end of a session.
class RecordEnd {
 public:
  explicit RecordEnd(const engine::tls::SessionState& state,
                     engine::tls::AeadLibrary library = engine::tls::fastest_aead_library());
  RecordEnd(const RecordEnd&) = delete;
  RecordEnd& operator=(const RecordEnd&) = delete;

  std::expected<void, engine::tls::RecordFault> seal(std::string_view text);
  std::expected<void, engine::tls::RecordFault> seal(const std::vector<std::string>& parts);
  // What was written to the wire since the last call.
  Bytes take_output();
  // At most `step` bytes at a time.
  std::expected<engine::tls::OpenState, engine::tls::RecordFault> open(std::span<const std::byte> bytes,
                                                                       std::size_t step = 1 << 20);

  [[nodiscard]] engine::tls::RecordLayer& layer() { return *layer_; }
  [[nodiscard]] engine::tls::SessionState& state() { return state_; }
  [[nodiscard]] engine::tls::WireBuffer& wire() { return wire_; }
  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] const std::vector<Bytes>& tickets() const { return tickets_; }

 private:
  engine::tls::SessionState state_;
  std::unique_ptr<engine::tls::RecordLayer> layer_;
  Bytes wire_memory_;
  engine::tls::WireBuffer wire_;
  std::string received_;
  std::vector<Bytes> tickets_;
};

struct RecordPair {
  explicit RecordPair(const VersionAndSuite& suite)
      : client(made_up_state(engine::tls::Role::client, suite)),
        server(made_up_state(engine::tls::Role::server, suite)) {}
  RecordEnd client;
  RecordEnd server;
};

// Seals what no honest peer would, with the keys of one.
class Forger {
 public:
  // Sends what `state`'s role would send, from its send_sequence on.
  explicit Forger(const engine::tls::SessionState& state);

  Bytes record(engine::tls::ContentType type, std::span<const std::byte> content);
  Bytes record(engine::tls::ContentType type, std::initializer_list<int> content);
  // Of a type that does not exist.
  Bytes odd_record(int type, std::span<const std::byte> content);
  // Of TLS 1.3, with so many zeros behind the type.
  Bytes padded(engine::tls::ContentType type, std::span<const std::byte> content, std::size_t zeros);
  // The key after a KeyUpdate, which record() has sent.
  void update_key();
  void skip() { ++state_.send_sequence; }

 private:
  engine::tls::SessionState state_;
  engine::tls::RecordSuite suite_;
  std::unique_ptr<engine::tls::RecordProtection> protection_;
};

}  // namespace tlsmux::test
