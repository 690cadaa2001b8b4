#include "engine/mux/session_end.hpp"

#include <algorithm>

#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::mux {

using shm::Reason;
using shm::SessionState;

namespace {

// The end of what may have reached the host: all that the kernel accepted, and nothing else.
std::uint64_t position_of_doubt(const Session& session) {
  const auto accepted = session.wire.accepted_position();
  if (TMX_HAS_BUG(judge_by_sealed)) return session.wire.sealed_position();
  if (TMX_HAS_BUG(forgive_first_byte)) return accepted - (accepted > 0 ? 1U : 0U);
  return accepted;
}

}  // namespace

void SessionEnd::settle_requests(Session& session, Event& event) {
  auto& requests = state_->requests;
  auto& upstream = state_->upstream_of(session);
  const auto doubt = position_of_doubt(session);
  for (auto index = session.in_flight.front(); index != kNone;) {
    const auto& request = requests[index];
    const auto next = request.next;
    const bool abandoned = request.state == RequestState::abandoned;
    if (abandoned || request.wire_position < doubt) {
      event.maybe_sent += abandoned ? 0 : 1;
      settlement_->lose(index, session.end_reason);
    }
    index = next;
  }
  settlement_->end_replies(session);
  // No byte of the rest has left. From the last to the first, so that they keep their order at the queue's head.
  while (!session.in_flight.empty()) {
    const auto index = session.in_flight.back();
    session.in_flight.remove(requests, index);
    --upstream.in_flight;
    requests[index].state = RequestState::requeued;
    requests[index].session = kNone;
    upstream.queue.give_back(requests, index);
  }
}

// What its end tells of the endpoint. Returns the pause before the session is started again.
std::uint64_t SessionEnd::judge_end(Session& session) {
  auto& upstream = state_->upstream_of(session);
  auto& endpoints = upstream.endpoints;
  // In TLS 1.3 a host turns a client's certificate down after the handshake (RFC 8446 section 4.4.2.4).
  const bool came_up = session.was_ready && session.end_reason != Reason::certificate_rejected_by_host;
  if (!came_up) {
    const auto pause =
        endpoints.fail(session.endpoint, session.started_ns, state_->now_ns, session.end_reason, state_->random);
    // The endpoint is in again as soon as another session is up, which will come to the same end: this one has a pause of
    // its own.
    return session.was_ready ? pause : 0;
  }
  const auto longest_ns = upstream.settings->backoff.max_ms * kNanosecondsPerMillisecond;
  if (session.was_heard || session.state == SessionState::draining || state_->now_ns - session.ready_ns >= longest_ns) {
    endpoints.was_of_use(session.endpoint);
    return endpoints.first_pause_ns(state_->random);
  }
  // A host that ends each session as soon as it is up gets pauses like one that cannot be reached, and sessions go
  // elsewhere, unless others prove that it is in order.
  const bool is_proven = std::ranges::any_of(upstream.sessions, [&](const Session* other) {
    return other != &session && other->is_open() && other->was_heard && other->endpoint == session.endpoint;
  });
  return endpoints.disappoint(session.endpoint, session.started_ns, state_->now_ns, !is_proven, session.end_reason,
                              state_->random);
}

}  // namespace tlsmux::engine::mux
