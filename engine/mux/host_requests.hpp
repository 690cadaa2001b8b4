#pragma once

// What hosts send unasked, and the replies to it. Each message gets a number; for a bounded time a reply that names it
// goes out on the session that brought the message, and on no other.
//
// A reply is a request of its own kind:
//
//   queued    -- sealed on its session -->            in flight
//   queued    -- deadline, withdrawn, session over --> NOT_SENT
//   in flight -- the kernel accepts its last byte -->  MAYBE_SENT(reply_sent): nothing comes back that would tell more
//   in flight -- session over -->                      NOT_SENT if no byte of its first record was accepted, else
//                                                      MAYBE_SENT, both with the reason of the loss
//   in flight -- deadline -->                          MAYBE_SENT(deadline)

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "config/limits.hpp"
#include "engine/mux/session_life.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// As the intake has checked it: the length is 1 to the upstream's message_bytes_max.
struct NewReply {
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  Caller caller;
  std::uint32_t length = 0;
  std::uint32_t timeout_ms = 0;  // 0: the upstream's request_ms
  std::uint64_t notice = 0;
};

class HostRequests {
 public:
  HostRequests(MuxState& state, Settlement& settlement, SessionLife& life)
      : state_(&state), settlement_(&settlement), life_(&life) {}

  // A message has come on this session. Its number counts the upstream's, from 1 on; of each upstream the last
  // kHostRequestsKept can be replied to, each once.
  std::uint64_t note(const Session& session, std::span<const std::byte> received_header);

  // The reply's index for Multiplexer::abandon(), or kNone when it has already ended.
  RequestIndex reply(const NewReply& reply);

  // Seals and sends the replies for which there is room.
  void flush();

  // The deadline of a reply.
  void expire(RequestIndex index);

 private:
  struct HostRequest {
    std::uint64_t notice = 0;
    SessionId session;
    bool is_replied_to = false;
    std::uint8_t header_bytes = 0;
    std::array<std::byte, config::kFrameHeaderBytesMax> header{};  // that stood before the message
  };
  using Parts = std::array<std::span<const std::byte>, 3>;  // header, message, trailer

  struct Line {                     // of one upstream
    std::uint64_t last = 0;         // number
    std::vector<HostRequest> kept;  // by number, modulo its size; empty before the first
  };

  // Null when it is forgotten, or never was.
  HostRequest* find(std::uint32_t upstream, std::uint64_t notice);
  Session* find_session(const HostRequest& host_request);
  RequestIndex enter(const NewReply& reply, const Session& session);
  void allow_another(const Request& reply);
  void flush(Session& session);
  [[nodiscard]] bool has_room(const Session& session, const Request& reply) const;
  bool seal(Session& session, RequestIndex index);
  bool seal_parts(Session& session, const Parts& parts);

  MuxState* state_;
  Settlement* settlement_;
  SessionLife* life_;
  std::vector<Line> lines_;  // by upstream, as far as any has sent something
};

}  // namespace tlsmux::engine::mux
