#include "engine/mux/matching.hpp"

namespace tlsmux::engine::mux {

void Matching::receive(Session& session, std::span<const std::byte> bytes) {
  const auto on_plaintext = [&](std::span<const std::byte> plaintext) {
    if (session.closing) return;
    const auto cut = session.cutter->feed(plaintext, [&](std::span<const std::byte> one) { message(session, one); });
    if (!cut) life_->fail(session, shm::Reason::stream_corrupt, message::framing_error_text(cut.error()));
  };
  const auto opened = session.tls->open(bytes, on_plaintext, session.wire);
  if (!opened) {
    life_->fail(session, opened.error().reason, opened.error().words);
  } else if (*opened == tls::OpenState::closed_by_peer) {
    life_->fail(session, shm::Reason::host_closed, "the host closed the TLS session");
  } else if (session.is_up()) {
    life_->send_sealed(session);
  }
}

void Matching::message(Session& session, std::span<const std::byte> message) {
  if (session.closing) return;
  session.was_heard = true;
  auto& upstream = state_->upstream_of(session);
  const auto index = find(session, message);
  if (index != kNone) return settlement_->answer(index, message);

  ++upstream.unsolicited;
  upstream.changed = true;
  state_->seams.events.event({.kind = EventKind::unsolicited_message,
                              .upstream = upstream.settings->name,
                              .session = session.number,
                              .words = "a message that answers no request in flight"});
  if (upstream.correlation.in_order()) {
    // From here on every answer could be taken for that of its neighbour.
    life_->fail(session, shm::Reason::stream_corrupt, "the host sent an answer to no request");
  }
}

RequestIndex Matching::find(Session& session, std::span<const std::byte> message) {
  auto& upstream = state_->upstream_of(session);
  if (upstream.correlation.in_order()) {
    const auto oldest = session.in_flight.front();  // the list is in the order of sealing
    return oldest != kNone && may_be_answered(session, state_->requests[oldest]) ? oldest : kNone;
  }
  const auto key = upstream.correlation.response_key(message);
  if (!key) return kNone;
  const auto index = upstream.keys.find(*key);
  if (index == kNone) return kNone;
  return may_be_answered(session, state_->requests[index]) ? index : kNone;
}

// What was never given to the network on this session, nobody there can answer.
bool Matching::may_be_answered(const Session& session, const Request& request) {
  return (request.state == RequestState::in_flight || request.state == RequestState::abandoned) &&
         request.session == session.id.index && request.wire_position < session.offered_position;
}

}  // namespace tlsmux::engine::mux
