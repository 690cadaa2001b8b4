#pragma once

// What a session's end means: for its requests, by one rule and only here, and for its endpoint.
//
// The rule: a request of which the kernel accepted a byte may have been sent. Any other was not, and may go to another
// session. Judged after the last completion of the last send.

#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class SessionEnd {
 public:
  SessionEnd(MuxState& state, Settlement& settlement) : state_(&state), settlement_(&settlement) {}

  // Ends what may have been sent with the session's `end_reason`, counts it in `event`, and queues the rest again.
  void settle_requests(Session& session, Event& event);

  // Of one that ended by itself: what that tells of the endpoint. Returns the pause before the session starts again.
  std::uint64_t judge_end(Session& session);

 private:
  MuxState* state_;
  Settlement* settlement_;
};

}  // namespace tlsmux::engine::mux
