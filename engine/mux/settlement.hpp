#pragma once

// Ends requests: each exactly once, whichever way it ends.

#include <span>

#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class Settlement {
 public:
  explicit Settlement(MuxState& state) : state_(&state) {}

  // The answer has come, for a request in flight or abandoned.
  void answer(RequestIndex index, std::span<const std::byte> message);

  // NOT_SENT, for a request that is queued or of which no byte left.
  void refuse(RequestIndex index, shm::Reason reason);

  // NOT_SENT, for a request that never came into the table.
  void reject(std::uint32_t upstream, std::uint32_t group, const Caller& caller, const Refusal& refusal);

  // MAYBE_SENT, for a request in flight. Nothing more can come for it: its session is over.
  void lose(RequestIndex index, shm::Reason reason);

  // MAYBE_SENT, for a request in flight on a session that lives on: the host may still answer, so the key and the
  // place in the order stay taken until it does or `late_answer_ms` is over.
  void give_up(RequestIndex index, shm::Reason reason);

  // The caller has withdrawn the request before it was sealed, and knows.
  void forget(RequestIndex index);

  // The asking process is gone, and its slots with it: the caller is not told, and its memory not looked at again.
  // Counted with `reason`.
  void abandon(RequestIndex index, shm::Reason reason);

  // The asking process is dead; from now on `keeper` stands for it. What waits ends NOT_SENT; what is in flight goes on,
  // and what has been given up may still be answered late.
  void orphan(RequestIndex index, const Caller& keeper);

  // Ends the replies of which the kernel has accepted every byte.
  void confirm_replies(Session& session);
  // The session is over. Ends its replies by what the kernel has accepted of them.
  void end_replies(Session& session);

 private:
  GroupCounters& counters(const Request& request);
  void count_callers_own(const Request& request, bool is_maybe_sent);
  void tell_lost(RequestIndex index, shm::Reason reason);
  void leave_lists(RequestIndex index);
  void release(RequestIndex index);
  void keep_for_late_answer(RequestIndex index);

  MuxState* state_;
};

}  // namespace tlsmux::engine::mux
