#pragma once

// What became of a request, by the truth in its slot word.

#include <cstdint>

#include "shm/layout.hpp"

namespace tlsmux::client {

struct Verdict {
  shm::Outcome outcome = shm::Outcome::none;
  shm::Reason reason = shm::Reason::none;
  std::uint32_t length = 0;        // of the answer
  std::uint32_t error_offset = 0;  // of an unparsable request
  std::uint16_t error_field = 0;
};

// Ends the request if it has not ended yet, for `reason`, and says how it ended. The caller counts it as ended from
// here on: the engine's own completion for it, if one still comes, brings nothing but the slots.
//
// Safe whether the engine lives, hangs or is dead, since each generation of a slot word ends once:
//   the swap QUEUED -> WITHDRAWN won   NOT_SENT, `reason`
//   the swap SENDING -> EXPIRED won    MAYBE_SENT, `reason`
//   the engine was first               what it wrote beside the word before it moved it
//   the word makes no sense            MAYBE_SENT, `reason`: the answer that is never falsely comforting
Verdict decide(shm::SlotControl& control, std::uint64_t generation, shm::Reason reason, std::uint32_t slot_bytes);

}  // namespace tlsmux::client
