#pragma once

// Brings what a host sends to the requests it answers.

#include <span>

#include "engine/mux/host_requests.hpp"
#include "engine/mux/leases.hpp"
#include "engine/mux/session_life.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class Matching {
 public:
  Matching(MuxState& state, Settlement& settlement, SessionLife& life, HostRequests& host_requests,
           Conversation& conversation, Leases& leases)
      : state_(&state),
        settlement_(&settlement),
        life_(&life),
        host_requests_(&host_requests),
        conversation_(&conversation),
        leases_(&leases) {}

  // Bytes from the host, as they came off the connection of a session that is up.
  void receive(Session& session, std::span<std::byte> bytes);

 private:
  void message(Session& session, const message::Frame& frame);
  void unsolicited(Session& session, const message::Frame& frame);
  void echo_keep_alives(Session& session, std::uint64_t count);
  RequestIndex find(Session& session, std::span<const std::byte> message);
  static bool may_be_answered(const Session& session, const Request& request);

  MuxState* state_;
  Settlement* settlement_;
  SessionLife* life_;
  HostRequests* host_requests_;
  Conversation* conversation_;
  Leases* leases_;
};

}  // namespace tlsmux::engine::mux
