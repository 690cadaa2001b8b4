#pragma once

// The life of one session: resolve, connect, shake hands, be ready, drain, end. Which sessions there are to be, and
// when one starts, is the pool's business; what the engine says on it, the conversation's.

#include "engine/mux/conversation.hpp"
#include "engine/mux/session_end.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class Leases;

class SessionLife {
 public:
  // `leases` need not be made yet.
  SessionLife(MuxState& state, Settlement& settlement, Conversation& conversation, Leases& leases)
      : state_(&state),
        settlement_(&settlement),
        conversation_(&conversation),
        leases_(&leases),
        end_(state, settlement) {}

  // To that endpoint. Requires that nothing of an earlier connection is left.
  void start(Session& session, std::uint32_t endpoint);

  // News from outside. For a connection that is over they do nothing.
  void resolved(SessionId id, const std::expected<std::vector<Address>, std::string>& addresses);
  void connected(SessionId id, int error);
  void handshake_stepped(SessionId id, std::unique_ptr<tls::TlsSession> tls, std::span<const std::byte> output,
                         const std::expected<tls::HandshakeState, tls::TlsError>& result);
  void sent(SessionId id, std::int64_t result);  // bytes, or a negative errno
  void ended(SessionId id, int error);           // the host sends no more; 0: it closed
  void closed(SessionId id);

  // Bytes from the host, before the session is ready.
  void receive_handshake(Session& session, std::span<const std::byte> bytes);

  // Sends what is sealed, unless a send is under way.
  void send_sealed(Session& session);

  // Acts on what has come of the engine's own conversation.
  void pursue(Session& session, const Pursued& pursued);
  // Seals and sends what the engine has to say itself.
  void say(Session& session);

  // The session cannot go on. Its requests are settled when the network has told the last of it.
  void fail(Session& session, shm::Reason reason, std::string words);
  // Says goodbye and ends it; what is in flight on it ends with `reason`.
  void close(Session& session, shm::Reason reason, std::string words);

  // A session that is ready takes no more requests, and ends in good order once it has no answer to wait for, or
  // after drain_ms. `words` say why.
  void drain(Session& session, std::string words);
  // Of a session that drains: nothing is in flight, no stream has it, and all that was sealed has left.
  static bool has_drained(const Session& session) {
    const bool any_reply = !session.replies.empty() || !session.replies_in_flight.empty();
    const bool is_talking = !session.own_words.empty() || session.exchange.is_open();
    return session.in_flight.empty() && !session.is_leased() && !any_reply && !is_talking && !session.sending &&
           session.wire.empty();
  }
  // Then.
  void finish_draining(Session& session);

  // Does what is due.
  void fire_timers(Session& session);

  // True while a request may wait for a session; else waiting is in vain and `last_error_reason` says why.
  [[nodiscard]] bool is_hopeful(const Upstream& upstream) const;

 private:
  void resolve(Session& session);
  void connect_next_address(Session& session);
  void addresses_found(Session& session, std::vector<Address> addresses);
  void step_handshake(Session& session, std::vector<std::byte> received);
  void handshake_done(Session& session);
  void become_ready(Session& session);
  void watch_for_stall(Session& session);
  void look_for_silence(Session& session);
  void timer_expired(Session& session);
  void finish(Session& session);
  void sign_on_waiting(Upstream& upstream);
  void refuse_waiting(Upstream& upstream);
  void tell(Session& session, Event& event);

  MuxState* state_;
  Settlement* settlement_;
  Conversation* conversation_;
  Leases* leases_;
  SessionEnd end_;
};

}  // namespace tlsmux::engine::mux
