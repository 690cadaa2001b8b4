#include "engine/mux/matching.hpp"

#include <algorithm>
#include <array>

#include "config/leases.hpp"

namespace tlsmux::engine::mux {
namespace {

constexpr std::size_t kEchoesMax = 64;  // at a time: what a host asks for beyond that, it does not get

}  // namespace

void Matching::receive(Session& session, std::span<std::byte> bytes) {
  const auto keep_alives = session.cutter->keep_alives();
  const auto on_plaintext = [&](std::span<const std::byte> plaintext) {
    if (session.closing || leases_->received(session, plaintext)) return;
    const auto cut = session.cutter->feed(plaintext, [&](const message::Frame& frame) { message(session, frame); });
    if (!cut) life_->fail(session, shm::Reason::stream_corrupt, message::framing_error_text(cut.error()));
  };
  const auto opened = session.tls->open(bytes, on_plaintext, session.wire);
  const auto heard = session.cutter->keep_alives() - keep_alives;
  auto& upstream = state_->upstream_of(session);
  upstream.keep_alives += heard;
  upstream.changed = upstream.changed || heard > 0;
  if (!opened) {
    if (!session.closing) life_->send_sealed(session);  // the alert
    life_->fail(session, opened.error().reason, opened.error().words);
  } else if (*opened == tls::OpenState::closed_by_peer) {
    if (leases_->host_finished(session)) return;
    life_->fail(session, shm::Reason::host_closed, "the host closed the TLS session");
  } else if (session.is_open()) {
    conversation_->hear_keep_alives(session);
    echo_keep_alives(session, heard);
    if (session.is_open()) life_->send_sealed(session);
    leases_->settle(session);
  }
}

// As many as have room beside what waits to be sent; never more than one record.
void Matching::echo_keep_alives(Session& session, std::uint64_t count) {
  if (count == 0 || !state_->upstream_of(session).framing.echoes_keep_alives()) return;
  const auto echo = session.cutter->last_keep_alive();
  const auto overhead = session.tls->record_overhead_bytes();
  const auto room = session.wire.room() > overhead ? session.wire.room() - overhead : 0;
  const auto fitting = std::min(room, session.tls->record_bytes_max()) / echo.size();
  const auto echoes = std::min<std::size_t>({static_cast<std::size_t>(count), fitting, kEchoesMax});
  if (echoes == 0) return;
  std::array<std::span<const std::byte>, kEchoesMax> parts;
  std::ranges::fill(parts, echo);
  const auto sealed = session.tls->seal(std::span(parts).first(echoes), session.wire);
  if (!sealed) life_->fail(session, sealed.error().reason, sealed.error().words);
}

void Matching::message(Session& session, const message::Frame& frame) {
  if (session.closing) return;
  session.was_heard = true;
  session.heard_ns = state_->now_ns;
  if (const auto heard = conversation_->hear(session, frame.message)) return life_->pursue(session, *heard);
  const bool is_for_streams = config::leases_sessions(*state_->upstream_of(session).settings);
  const auto index = is_for_streams ? kNone : find(session, frame.message);
  if (index != kNone) return settlement_->answer(index, frame.message);
  if (conversation_->auto_reply(session, frame)) return;
  if (is_for_streams) return Leases::intrude(session);
  unsolicited(session, frame);
}

// A request of the host, a second answer, an answer to nobody.
void Matching::unsolicited(Session& session, const message::Frame& frame) {
  auto& upstream = state_->upstream_of(session);
  ++upstream.unsolicited;
  upstream.changed = true;
  state_->seams.events.event({.kind = EventKind::unsolicited_message,
                              .upstream = upstream.settings->name,
                              .session = session.number,
                              .words = "a message that answers no request in flight"});
  const auto notice = host_requests_->note(session, frame.received_header);
  state_->seams.notices.unsolicited(session.upstream, notice, frame.message);
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
  if (upstream.correlation.role(message) != message::MessageRole::response) return kNone;
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
