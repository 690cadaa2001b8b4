#pragma once

// How many sessions each upstream has, to which endpoints, and when one starts or ends. SESSIONS.md says it for people.

#include <vector>

#include "engine/mux/session_life.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// How far a change of settings goes. Each goes as far as those before it, too.
enum class ChangeReach : std::uint8_t {
  settings,       // no attempt to connect depends on them
  next_attempts,  // those that wait for their next attempt make it now, and pauses begin anew
  attempts,       // those that are on their way by earlier settings are given up for it
  sessions,       // sessions made with earlier ones are replaced, one at a time
};

class SessionPool {
 public:
  SessionPool(MuxState& state, SessionLife& life) : state_(&state), life_(&life) {}

  void start();

  // Acts on what has changed or is due. After each input, and in each tick; cheap when there is nothing.
  void tend();

  // When requests wait although some were just brought to sessions: wants one session more if all are busy.
  void grow(Upstream& upstream);

  // Its settings have changed.
  void change(Upstream& upstream, ChangeReach reach);

  // From now on takes no requests; ends its sessions once those that it has are done. Until resumed.
  // `drain_ms` stands in for timeouts.drain_ms; 0: as there.
  void drain(Upstream& upstream, std::uint32_t drain_ms);
  void resume(Upstream& upstream);
  [[nodiscard]] static bool is_drained(const Upstream& upstream);

 private:
  struct Count {
    std::uint32_t serving = 0;      // up, on their way or waiting to start; without those on trial or in exchange
    std::uint32_t up = 0;           // of these
    std::uint32_t starting = 0;     // all that are on their way
    std::uint32_t connections = 0;  // all that there are
    bool any_draining = false;
    bool any_exchange = false;  // one replaces another
  };

  void tend(Upstream& upstream);
  void end_drained(Upstream& upstream);
  void finish_exchanges(Upstream& upstream);
  void reach(Upstream& upstream, std::uint32_t target);
  void give_up_one(Upstream& upstream);
  void mark_extras(Upstream& upstream);
  void shrink(Upstream& upstream);
  void end_idle(Upstream& upstream);
  void rotate(Upstream& upstream);
  void start_waiting(Upstream& upstream);
  void fail_back(Upstream& upstream);
  void begin_anew(Upstream& upstream);
  void give_up_attempts(Upstream& upstream);

  static Count count(const Upstream& upstream);
  void count_loads(const Upstream& upstream);
  static Session* free_place(Upstream& upstream);
  void let_wait(Session& session);
  [[nodiscard]] bool is_proven(const Session& session) const;
  std::string why_retire(Upstream& upstream, Session& session);
  [[nodiscard]] std::uint64_t certificate_due_ns(const Upstream& upstream, const Session& session) const;
  // Looks again then, at the latest.
  void call_by(Upstream& upstream, std::uint64_t at_ns);

  MuxState* state_;
  SessionLife* life_;
  std::vector<EndpointLoad> loads_;  // of the upstream that is being tended
  std::vector<Session*> waiting_;    // to start, likewise
};

}  // namespace tlsmux::engine::mux
