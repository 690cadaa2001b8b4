#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <utility>

#include "engine/tls/record/record_protection.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "engine/tls/session_state.hpp"

namespace tlsmux::engine::tls {

// The receiving direction of a session: cuts what comes into records and opens them, each with the next sequence number.
class RecordReceiver {
 public:
  // `state` outlives it; it keeps receive_sequence and the peer's secret there up to date.
  RecordReceiver(SessionState& state, const RecordSuite& suite, std::unique_ptr<RecordProtection> protection);

  // Takes bytes off the front of `received` up to the end of the next record, and opens that: where it lies, if it is
  // whole there, else in memory of this object's. Null: all is consumed, and the next record goes on in what will come.
  // The record is valid until the next call or forget(), which wipe its content. Allocates nothing. After an error it is
  // of no more use.
  std::expected<const OpenedRecord*, Alert> next(std::span<std::byte>& received);
  // Wipes what was opened last.
  void forget() { wipe(std::exchange(opened_.content, {})); }

  // The peer has updated its key (RFC 8446 section 7.2): the next record has the next one. Requires TLS 1.3.
  void update_key();

  // A record as the peer could have sent it under the key in use, with any sequence number.
  std::size_t imitate(std::uint64_t sequence, std::span<const std::byte> handshake_message,
                      std::span<std::byte> output);

 private:
  std::expected<std::span<std::byte>, Alert> next_in_pieces(std::span<std::byte>& received);
  bool hold_up_to(std::size_t size, std::span<std::byte>& received);

  SessionState* state_;
  RecordSuite suite_;
  std::unique_ptr<RecordProtection> protection_;
  SecretBytes partial_;   // a record that came in pieces
  std::size_t held_ = 0;  // bytes of it
  OpenedRecord opened_;
};

}  // namespace tlsmux::engine::tls
