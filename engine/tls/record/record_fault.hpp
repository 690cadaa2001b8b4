#pragma once

#include <cstdint>
#include <string_view>

#include "engine/tls/alert.hpp"

namespace tlsmux::engine::tls {

enum class RecordFaultKind : std::uint8_t {
  invalid,    // the peer broke a rule: `alert` is what it is told
  alerted,    // the peer ended the session with `alert`
  no_room,    // an answer to the peer has no room: it takes no bytes
  used_up,    // no sequence number is left
  no_memory,  // for the key that follows
};

// Why a record layer cannot go on.
struct RecordFault {
  RecordFaultKind kind = RecordFaultKind::invalid;
  Alert alert = Alert::internal_error;
  std::string_view words;  // a literal
};

}  // namespace tlsmux::engine::tls
