#pragma once

// The life of the sessions: resolve, connect, shake hands, be ready, end, wait, again. What a session's end means for
// its requests is decided here, by one rule: a request of which the kernel accepted a byte may have been sent, any
// other was not and may go to another session.

#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class SessionLife {
 public:
  SessionLife(MuxState& state, Settlement& settlement) : state_(&state), settlement_(&settlement) {}

  void start(Session& session);

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

  // The session cannot go on. Its requests are settled when the network has told the last of it.
  void fail(Session& session, shm::Reason reason, std::string words);
  // Says goodbye and ends it.
  void close(Session& session);

  // The present state has lasted too long.
  void timer_expired(Session& session);

  // True while a request may wait for a session; else waiting is in vain and `last_error_reason` says why.
  [[nodiscard]] bool is_hopeful(const Upstream& upstream);

 private:
  void resolve(Session& session);
  void connect_next_address(Session& session);
  void step_handshake(Session& session, std::vector<std::byte> received);
  void become_ready(Session& session);
  void watch_for_stall(Session& session);
  void finish(Session& session);
  void settle_requests(Session& session, Event& event);
  void retry_later(Session& session, Event& event);
  void refuse_waiting(Upstream& upstream);
  void tell(Session& session, Event& event);

  MuxState* state_;
  Settlement* settlement_;
};

}  // namespace tlsmux::engine::mux
