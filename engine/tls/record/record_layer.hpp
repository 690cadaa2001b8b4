#pragma once

// The records of one session after its handshake, in either role: seals and opens, and deals with all that is not
// application data: KeyUpdate, alerts, tickets, renegotiation (RFC 8446 sections 4.6, 5 and 6; RFC 5246 sections 6 and 7).
// Bytes in and bytes out.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>

#include "engine/tls/aead.hpp"
#include "engine/tls/record/handshake_reader.hpp"
#include "engine/tls/record/record_fault.hpp"
#include "engine/tls/record/record_receiver.hpp"
#include "engine/tls/record/record_sender.hpp"
#include "engine/tls/session_state.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/function_ref.hpp"

namespace tlsmux::engine::tls {

// Records that one key of AES-GCM may protect (RFC 8446 section 5.5 allows 2^24.5 of full size).
inline constexpr std::uint64_t kGcmRecordsMax = 1 << 24;

// seal() and open() take no lock and allocate nothing, except for a ticket or a handshake message in several records, and
// for a KeyUpdate where mbedTLS does AES-GCM. After a fault it is of no more use: every further call returns that fault.
class RecordLayer {
 public:
  using OnPlaintext = shm::FunctionRef<void(std::span<const std::byte>)>;
  // A whole NewSessionTicket message. An alert: what is wrong with it.
  using OnTicket = shm::FunctionRef<std::expected<void, Alert>(std::span<const std::byte>)>;

  // Goes on from `state`, which outlives it and is kept up to date. Requires a suite that record_suite() knows. Null: no
  // memory.
  static std::unique_ptr<RecordLayer> make(SessionState& state, AeadLibrary library);
  RecordLayer(SessionState& state, const RecordSuite& suite, RecordSender sender, RecordReceiver receiver)
      : state_(&state), suite_(suite), sender_(std::move(sender)), receiver_(std::move(receiver)) {}

  // The most bytes that seal() adds to the wire beyond the plaintext: in TLS 1.3 there may be a KeyUpdate before it.
  [[nodiscard]] std::size_t overhead_bytes() const;

  // Of a KeyUpdate that the next seal() puts before its record.
  [[nodiscard]] std::size_t bytes_before_record() const;

  // One record of application data. Requires at most kPlaintextBytesMax bytes in all, and room.
  std::expected<void, RecordFault> seal(std::span<const std::span<const std::byte>> parts, WireBuffer& wire);

  // See TlsSession::open().
  std::expected<OpenState, RecordFault> open(std::span<std::byte> received, OnPlaintext on_plaintext,
                                             OnTicket on_ticket, WireBuffer& wire);

  // Appends close_notify, if there is room.
  void close_notify(WireBuffer& wire);

  // TLS 1.2 cannot change its keys: with AES-GCM, another session should take over.
  [[nodiscard]] bool is_worn_out() const;

  // The peer has changed its key at least once.
  [[nodiscard]] bool is_peer_key_updated() const { return is_peer_key_updated_; }

  // See RecordReceiver::imitate().
  std::size_t imitate_record(std::uint64_t sequence, std::span<const std::byte> handshake_message,
                             std::span<std::byte> output) {
    return receiver_.imitate(sequence, handshake_message, output);
  }

 private:
  // A peer may send so many records without data on end (tickets, key updates, warnings, empty ones).
  static constexpr std::uint32_t kRecordsWithoutDataMax = 64;

  using Handled = std::expected<void, RecordFault>;

  // A record that is not data, or is out of place.
  Handled handle(const OpenedRecord& record, const OnTicket& on_ticket, WireBuffer& wire);
  Handled handle_handshake(std::span<const std::byte> content, OnTicket on_ticket, WireBuffer& wire);
  Handled handle_tls_1_3_message(const HandshakeMessage& message, bool ends_record, OnTicket on_ticket);
  Handled handle_key_update(const HandshakeMessage& message, bool ends_record);
  Handled handle_alert(std::span<const std::byte> content);
  [[nodiscard]] bool must_ask_peer() const;
  [[nodiscard]] bool is_key_update_due() const;
  Handled update_key(WireBuffer& wire);
  RecordFault end(const RecordFault& fault, WireBuffer& wire);
  RecordFault fail(const RecordFault& fault);

  SessionState* state_;
  RecordSuite suite_;
  RecordSender sender_;
  RecordReceiver receiver_;
  HandshakeReader handshake_;
  std::uint32_t records_without_data_ = 0;
  bool must_update_key_ = false;  // the peer has asked for it
  bool has_asked_peer_ = false;   // to update its key, which it has not done yet
  bool is_peer_key_updated_ = false;
  bool is_closed_by_peer_ = false;
  std::optional<RecordFault> fault_;
};

}  // namespace tlsmux::engine::tls
