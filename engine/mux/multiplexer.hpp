#pragma once

// Shares the sessions of all upstreams among all callers, and ends every request in exactly one outcome. Does no
// system call and reads no clock: time, bytes and completions come in through the inputs below, and what is to happen
// goes out through the seams. One thread.

#include <memory>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/dispatch.hpp"
#include "engine/mux/matching.hpp"
#include "engine/mux/session_life.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// A request as the intake has checked it: upstream and group exist and may be together, length is 1 to the upstream's
// message_bytes_max.
struct NewRequest {
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  Caller caller;
  std::uint32_t length = 0;
  std::uint32_t timeout_ms = 0;  // 0: the upstream's request_ms
};

class Multiplexer {
 public:
  // `config` and what `seams` names outlive it. One TLS client for each upstream, in their order.
  Multiplexer(const config::Config& config, Seams seams, std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
              std::uint64_t seed);
  Multiplexer(const Multiplexer&) = delete;  // its parts point at each other
  Multiplexer& operator=(const Multiplexer&) = delete;

  // The time of all that follows, until the next call. Never earlier than before.
  void set_time(std::uint64_t now_ns) { state_.now_ns = now_ns; }

  void start();

  // The request's index for abandon(), or kNone when it has already ended.
  RequestIndex submit(const NewRequest& request);
  // The asking process is gone. Its memory is not looked at any more.
  void abandon(RequestIndex index) { settlement_.abandon(index); }

  // From the network.
  void connected(SessionId session, int error) { life_.connected(session, error); }
  void received(SessionId session, std::span<const std::byte> bytes);
  void sent(SessionId session, std::int64_t result) { life_.sent(session, result); }
  void ended(SessionId session, int error) { life_.ended(session, error); }
  void closed(SessionId session) { life_.closed(session); }

  // From the workers.
  void resolved(SessionId session, const std::expected<std::vector<Address>, std::string>& addresses) {
    life_.resolved(session, addresses);
  }
  void handshake_stepped(SessionId session, std::unique_ptr<tls::TlsSession> tls, std::span<const std::byte> output,
                         const std::expected<tls::HandshakeState, tls::TlsError>& result);

  // Fires what is due.
  void tick();
  // Seals and sends what waits. Once after all inputs of a tick.
  void flush();
  // When tick() is next needed; 0: not by itself.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  // From now on refuses requests; those it has go on. With `requests_left() == 0`, or when patience is over,
  // close_sessions(), which ends them all in good order; is_closed() when that is done.
  void drain();
  [[nodiscard]] std::size_t requests_left() const;
  void close_sessions();
  [[nodiscard]] bool is_closed() const;

  // For status.
  [[nodiscard]] const std::vector<std::unique_ptr<Upstream>>& upstreams() const { return state_.upstreams; }
  [[nodiscard]] const std::vector<Session>& sessions() const { return state_.sessions; }
  [[nodiscard]] std::size_t requests_held() const { return state_.requests.in_use(); }  // abandoned ones included
  bool take_changed(std::size_t upstream) { return std::exchange(state_.upstreams[upstream]->changed, false); }

 private:
  void fire_session_timers();
  void expire(RequestIndex index);

  MuxState state_;
  Settlement settlement_;
  SessionLife life_;
  Dispatch dispatch_;
  Matching matching_;
};

// The bytes of send memory that a session of this upstream needs: the largest message, sealed, or a handshake.
std::size_t send_memory_bytes(const config::UpstreamSettings& settings);

}  // namespace tlsmux::engine::mux
