#pragma once

// The three outcomes of a request and the reasons for them. The numbers are part of the segment's layout and of the
// C ABI: append only, never renumber. client/include/tlsmux/tlsmux.h repeats them; a test compares the two.

#include <cstdint>
#include <string_view>

namespace tlsmux::shm {

enum class Outcome : std::uint8_t {
  none = 0,
  answered = 1,    // here is the response
  not_sent = 2,    // no byte of the request reached the wire
  maybe_sent = 3,  // it was handed to the wire and no answer came
};

enum class Reason : std::uint16_t {
  none = 0,

  // Why a request was not sent.
  overload = 1,
  duplicate_key = 2,
  unparsable = 3,
  no_session = 4,
  name_not_resolved = 5,
  connect_refused = 6,
  connect_timeout = 7,
  connect_failed = 8,
  handshake_timeout = 9,
  handshake_failed = 10,
  certificate_untrusted = 11,
  certificate_expired = 12,
  certificate_wrong_name = 13,
  certificate_missing = 14,
  certificate_revoked = 15,
  certificate_rejected_by_host = 16,
  no_common_suite = 17,
  no_common_version = 18,
  not_permitted = 19,
  engine_draining = 20,
  certificate_pin_mismatch = 21,
  sign_on_refused = 22,
  sign_on_timeout = 23,
  upstream_draining = 24,
  upstream_removed = 25,

  // Why it may have been sent.
  host_closed = 32,
  connection_lost = 33,
  write_stalled = 34,
  stream_corrupt = 35,
  record_corrupt = 36,
  reply_sent = 37,  // of a reply to the host's own request: nothing comes back
  heartbeat_missed = 38,
  host_silent = 39,

  // Why either.
  deadline = 48,
  cancelled = 49,
  engine_died = 50,
  client_died = 51,
  detached = 52,
};

inline constexpr std::size_t kReasonCount = 64;  // room in the counters; values stay below

// One word for scripts ("certificate_expired") and one sentence for people. Never null; unknown values say so.
std::string_view outcome_name(Outcome outcome);
std::string_view reason_name(Reason reason);
std::string_view reason_text(Reason reason);

}  // namespace tlsmux::shm
