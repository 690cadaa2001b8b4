// A stand-in for TLS without cryptography, for tests of the multiplexer and for the simulation, and the
// host's side of it. Records are type (1 byte), length (4 bytes, big endian), content. The client opens with
// a fixed hello and the host answers with a fixed one; then data records and close_notify go both ways. A
// host can refuse with a reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/tls/tls_session.hpp"
#include "shm/function_ref.hpp"
#include "shm/outcome.hpp"

namespace tlsmux::test {

inline constexpr std::size_t kPlainRecordBytesMax = 16384;
inline constexpr std::size_t kPlainHeaderBytes = 5;

enum class PlainType : std::uint8_t { hello = 1, refusal = 2, data = 3, close_notify = 4 };

struct PlainRecord {
  PlainType type = PlainType::data;
  std::span<const std::byte> content;  // valid until the next call of the cutter
};

// Cuts a stream of bytes into records. Allocates only in its constructor.
class PlainRecordCutter {
 public:
  PlainRecordCutter();

  // Takes bytes off the front of `received` up to the end of the next record. nullopt: more bytes are needed.
  // Fails if what came is no record; then the stream is lost.
  std::expected<std::optional<PlainRecord>, std::string> next(std::span<const std::byte>& received);

 private:
  std::array<std::byte, kPlainHeaderBytes + kPlainRecordBytesMax> record_;
  std::size_t held_ = 0;
};

class PlainTlsSession final : public engine::tls::TlsSession {
 public:
  explicit PlainTlsSession(std::optional<engine::tls::TlsError> failure);

  std::expected<engine::tls::HandshakeState, engine::tls::TlsError> handshake(std::span<const std::byte> received,
                                                                              std::vector<std::byte>& output) override;
  [[nodiscard]] engine::tls::PeerFacts peer_facts() const override;
  [[nodiscard]] std::size_t record_bytes_max() const override { return kPlainRecordBytesMax; }
  [[nodiscard]] std::size_t record_overhead_bytes() const override { return kPlainHeaderBytes; }
  std::expected<void, engine::tls::TlsError> seal(std::span<const std::span<const std::byte>> parts,
                                                  engine::tls::WireBuffer& wire) override;
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open(
      std::span<std::byte> received, shm::FunctionRef<void(std::span<const std::byte>)> on_plaintext,
      engine::tls::WireBuffer& wire) override;
  void close_notify(engine::tls::WireBuffer& wire) override;

 private:
  enum class State : std::uint8_t { start, hello_sent, done };

  State state_ = State::start;
  engine::tls::OpenState open_state_ = engine::tls::OpenState::open;
  std::optional<engine::tls::TlsError> failure_;
  PlainRecordCutter cutter_;
  std::vector<std::byte> leftover_;  // came with the host's hello; for the first open()
};

// Any thread.
class PlainTlsClient final : public engine::tls::TlsClient {
 public:
  std::expected<std::unique_ptr<engine::tls::TlsSession>, engine::tls::TlsError> start(
      const std::string& server_name) override;

  // Sessions started from now on fail so when the host's hello comes; nullopt: they succeed again.
  void fail_handshakes(std::optional<engine::tls::TlsError> failure);
  [[nodiscard]] std::size_t started() const;
  // The name given to the last start().
  [[nodiscard]] std::string last_server_name() const;

 private:
  mutable std::mutex mutex_;
  std::optional<engine::tls::TlsError> failure_;
  std::size_t started_ = 0;
  std::string last_server_name_;
};

// The host's side of one connection: bytes in, bytes out. What is to be sent is appended to `output`.
class PlainTlsHost {
 public:
  enum class State : std::uint8_t { handshake, open, closed_by_client, corrupt };

  // Feeds what came from the client. Answers its hello, appends the data to `plaintext`. After anything but
  // `open` the rest is ignored.
  State receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext, std::vector<std::byte>& output);
  [[nodiscard]] State state() const { return state_; }

  // One record for each kPlainRecordBytesMax bytes begun.
  static void seal(std::span<const std::byte> plaintext, std::vector<std::byte>& output);
  static void close_notify(std::vector<std::byte>& output);
  // Instead of an answer to the hello: the client's handshake fails with this reason. Later: record_corrupt.
  static void refuse(shm::Reason reason, std::vector<std::byte>& output);

 private:
  State state_ = State::handshake;
  PlainRecordCutter cutter_;
};

}  // namespace tlsmux::test
