#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "engine/tls/record/record_protection.hpp"
#include "engine/tls/session_state.hpp"
#include "engine/tls/wire_buffer.hpp"

namespace tlsmux::engine::tls {

// The sending direction of a session: every record takes the next sequence number, whatever is in it, and what is sealed
// lies in the WireBuffer until it has left; so nothing is ever sealed twice. Allocates nothing.
class RecordSender {
 public:
  // `state` outlives it; it keeps send_sequence and our own secret there up to date.
  RecordSender(SessionState& state, const RecordSuite& suite, std::unique_ptr<RecordProtection> protection)
      : state_(&state), suite_(suite), protection_(std::move(protection)) {}

  // Bytes of a record beyond its content.
  [[nodiscard]] std::size_t overhead_bytes() const { return suite_.overhead_bytes(); }

  // Appends one record. Requires room for it. False: no sequence number is left.
  [[nodiscard]] bool seal(ContentType type, std::span<const std::span<const std::byte>> parts, WireBuffer& wire) {
    // It must not wrap (RFC 8446 section 5.3, RFC 5246 section 6.1).
    if (state_->send_sequence == std::numeric_limits<std::uint64_t>::max()) return false;
    wire.commit(protection_->seal(state_->send_sequence, type, parts, wire.free_space()));
    ++state_->send_sequence;
    return true;
  }

  // Appends KeyUpdate (RFC 8446 section 4.6.3); what is sealed from then on has the next key. With `ask` the peer is to
  // do the same. Requires TLS 1.3 and room for kKeyUpdateBytes and the overhead. False: no sequence number is left.
  static constexpr std::size_t kKeyUpdateBytes = 5;
  [[nodiscard]] bool update_key(bool ask, WireBuffer& wire);

  // Appends an alert. False: there is no room, or no sequence number left.
  static constexpr std::size_t kAlertBytes = 2;
  [[nodiscard]] bool alert(Alert description, WireBuffer& wire);

 private:
  SessionState* state_;
  RecordSuite suite_;
  std::unique_ptr<RecordProtection> protection_;
};

}  // namespace tlsmux::engine::tls
