#include "engine/mux/session_life.hpp"

#include <algorithm>
#include <cstring>

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

using shm::Reason;
using shm::SessionState;

namespace {

constexpr std::size_t kHandshakeHeldBytesMax = 256 * 1024;  // while a worker is at the step before

Reason reason_of_connect_error(int error) {
  switch (error) {
    case ECONNREFUSED: return Reason::connect_refused;
    case ETIMEDOUT: return Reason::connect_timeout;
    default: return Reason::connect_failed;
  }
}

// The end of what may have reached the host: all that the kernel accepted, and nothing else.
std::uint64_t position_of_doubt(const Session& session) {
#if defined(TLSMUX_MUTANT_JUDGE_BY_SEALED)
  return session.wire.sealed_position();  // deliberate bug, to show that the simulation sees it
#elif defined(TLSMUX_MUTANT_FORGIVE_FIRST_BYTE)
  return session.wire.accepted_position() - (session.wire.accepted_position() > 0 ? 1 : 0);  // another
#else
  return session.wire.accepted_position();
#endif
}

}  // namespace

void SessionLife::start(Session& session) {
  session.orderly = session.was_ready = session.was_heard = false;
  session.end_reason = Reason::none;
  session.end_words.clear();
  session.facts = {};
  session.requests = 0;
  session.cutter = std::make_unique<message::FrameCutter>(state_->upstream_of(session).framing);
  resolve(session);
}

void SessionLife::resolve(Session& session) {
  const auto& settings = *state_->upstream_of(session).settings;
  const auto& endpoint = settings.endpoints[session.endpoint % settings.endpoints.size()];
  state_->set_state(session, SessionState::resolving);
  state_->set_timer(session, state_->now_ns + settings.timeouts.connect_ms * kNanosecondsPerMillisecond);
  if (const auto literal = parse_literal(endpoint.host, endpoint.port)) {
    session.addresses = {*literal};
    connect_next_address(session);
  } else {
    state_->seams.workers.resolve(session.id, endpoint.host, endpoint.port);
  }
}

void SessionLife::resolved(SessionId id, const std::expected<std::vector<Address>, std::string>& addresses) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing || session->state != SessionState::resolving) return;
  if (!addresses || addresses->empty()) {
    return fail(*session, Reason::name_not_resolved, addresses ? "the name has no address" : addresses.error());
  }
  session->addresses = *addresses;
  connect_next_address(*session);
}

void SessionLife::connect_next_address(Session& session) {
  session.address = session.addresses.front();
  session.addresses.erase(session.addresses.begin());
  const auto& timeouts = state_->upstream_of(session).settings->timeouts;
  state_->set_state(session, SessionState::connecting);
  state_->set_timer(session, state_->now_ns + timeouts.connect_ms * kNanosecondsPerMillisecond);
  session.wire = tls::WireBuffer(state_->seams.network.send_memory(session.id.index));
  session.offered_position = 0;
  session.has_connection = true;
  state_->seams.network.connect(session.id, session.address);
}

void SessionLife::connected(SessionId id, int error) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing) return;
  if (error != 0) {
    return fail(*session, reason_of_connect_error(error), "connect: " + std::string(std::strerror(error)));
  }
  const auto& upstream = state_->upstream_of(*session);
  const auto& settings = *upstream.settings;
  const auto& endpoint = settings.endpoints[session->endpoint % settings.endpoints.size()];
  auto tls = upstream.tls_client->start(settings.tls.server_name.empty() ? endpoint.host : settings.tls.server_name);
  if (!tls) return fail(*session, tls.error().reason, tls.error().words);
  session->tls = std::move(*tls);
  state_->set_state(*session, SessionState::handshaking);
  state_->set_timer(*session, state_->now_ns + settings.timeouts.handshake_ms * kNanosecondsPerMillisecond);
  step_handshake(*session, {});
}

void SessionLife::step_handshake(Session& session, std::vector<std::byte> received) {
  state_->seams.workers.handshake(session.id, std::move(session.tls), std::move(received));
}

void SessionLife::receive_handshake(Session& session, std::span<const std::byte> bytes) {
  if (session.handshake_received.size() + bytes.size() > kHandshakeHeldBytesMax) {
    return fail(session, Reason::handshake_failed, "the host sends faster than the TLS handshake goes on");
  }
  session.handshake_received.insert(session.handshake_received.end(), bytes.begin(), bytes.end());
  if (session.tls != nullptr) step_handshake(session, std::exchange(session.handshake_received, {}));
}

void SessionLife::handshake_stepped(SessionId id, std::unique_ptr<tls::TlsSession> tls,
                                    std::span<const std::byte> output,
                                    const std::expected<tls::HandshakeState, tls::TlsError>& result) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing) return;
  session->tls = std::move(tls);
  if (output.size() > session->wire.room()) {
    return fail(*session, Reason::handshake_failed, "the host takes none of the handshake's bytes");
  }
  session->wire.append(output);
  send_sealed(*session);
  if (!result) return fail(*session, result.error().reason, result.error().words);
  if (*result == tls::HandshakeState::done) return become_ready(*session);
  if (!session->handshake_received.empty()) {
    return step_handshake(*session, std::exchange(session->handshake_received, {}));
  }
  if (session->host_ended) {
    fail(*session, Reason::handshake_failed, "the host closed the connection during the TLS handshake");
  }
}

void SessionLife::become_ready(Session& session) {
  auto& upstream = state_->upstream_of(session);
  session.facts = session.tls->peer_facts();
  ++(session.facts.resumed ? upstream.handshakes_resumed : upstream.handshakes_full);
  session.failures = 0;
  session.was_ready = true;
  state_->set_state(session, SessionState::ready);
  if (session.sending) watch_for_stall(session);  // the end of the handshake may stall as well
  Event event{.kind = EventKind::session_ready};
  tell(session, event);
}

void SessionLife::send_sealed(Session& session) {
  if (session.sending || session.wire.empty()) return;
  session.sending = true;
  session.offered_position = session.wire.sealed_position();
  if (session.state == SessionState::ready) watch_for_stall(session);
  state_->seams.network.send(session.id, session.wire.pending());
}

void SessionLife::watch_for_stall(Session& session) {
  const auto& timeouts = state_->upstream_of(session).settings->timeouts;
  state_->set_timer(session, state_->now_ns + timeouts.write_stall_ms * kNanosecondsPerMillisecond);
}

void SessionLife::sent(SessionId id, std::int64_t result) {
  auto* session = state_->find(id);
  if (session == nullptr) return;
  TMX_ASSERT(session->sending);
  session->sending = false;
  if (session->state == SessionState::ready) session->timer_ns = 0;
  if (result < 0) {
    return fail(*session, Reason::connection_lost, "send: " + std::string(std::strerror(static_cast<int>(-result))));
  }
  session->wire.accept(static_cast<std::size_t>(result));
  if (!session->closing) send_sealed(*session);
}

void SessionLife::ended(SessionId id, int error) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing) return;
  const bool shaking_hands = session->state == SessionState::handshaking;
  if (shaking_hands && session->tls == nullptr) {
    session->host_ended = true;  // what the worker is looking at may say why
  } else if (error != 0) {
    const auto reason = shaking_hands ? Reason::handshake_failed : Reason::connection_lost;
    fail(*session, reason, "receive: " + std::string(std::strerror(error)));
  } else if (shaking_hands) {
    fail(*session, Reason::handshake_failed, "the host closed the connection during the TLS handshake");
  } else {
    fail(*session, Reason::host_closed, "the host closed the connection");
  }
}

void SessionLife::fail(Session& session, Reason reason, std::string words) {
  if (session.closing) return;
  session.closing = true;
  session.end_reason = reason;
  session.end_words = std::move(words);
  session.timer_ns = 0;
#if defined(TLSMUX_MUTANT_JUDGE_EARLY)
  Event unused{};  // deliberate bug: the send under way may still come to something
  settle_requests(session, unused);
#endif
  if (session.has_connection) {
    state_->seams.network.close(session.id);
  } else {
    finish(session);
  }
}

void SessionLife::close(Session& session) {
  if (session.closing || session.state == SessionState::none) return;
  session.orderly = true;
  if (session.state == SessionState::backing_off) {
    state_->set_state(session, SessionState::none);
    return;
  }
  if (session.state == SessionState::ready) {
    session.tls->close_notify(session.wire);
    send_sealed(session);
  }
  fail(session, Reason::engine_draining, "closed by the engine");
}

void SessionLife::closed(SessionId id) {
  auto* session = state_->find(id);
  if (session == nullptr) return;
  TMX_ASSERT(session->closing && session->has_connection && !session->sending);
  session->has_connection = false;
  finish(*session);
}

void SessionLife::timer_expired(Session& session) {
  session.timer_ns = 0;
  switch (session.state) {
    case SessionState::backing_off: return start(session);
    case SessionState::resolving:
      return fail(session, Reason::name_not_resolved, "no answer from the resolver in time");
    case SessionState::connecting: return fail(session, Reason::connect_timeout, "the connect took too long");
    case SessionState::handshaking: return fail(session, Reason::handshake_timeout, "the TLS handshake took too long");
    case SessionState::ready: return fail(session, Reason::write_stalled, "the host takes no more bytes");
    case SessionState::none:
    case SessionState::signing_on:
    case SessionState::draining: return;
  }
}

void SessionLife::finish(Session& session) {
  auto& upstream = state_->upstream_of(session);
  session.tls.reset();
  session.handshake_received.clear();
  Event event{.reason = session.end_reason, .words = session.end_words};
  if (session.orderly) {
    event.kind = EventKind::session_closed;
  } else {
    event.kind = session.was_ready ? EventKind::session_lost : EventKind::session_failed;
    upstream.last_error_reason = session.end_reason;
    upstream.last_error = session.end_words;
    upstream.last_error_ns = state_->now_ns;
  }
  settle_requests(session, event);
  ++session.id.generation;  // news of this connection that still comes finds nobody
  session.closing = session.host_ended = false;
  if (!session.orderly && !session.was_ready && !state_->draining && !session.addresses.empty()) {
    // The name has more addresses: try the next at once.
    tell(session, event);
    return connect_next_address(session);
  }
  retry_later(session, event);
  tell(session, event);
  if (!is_hopeful(upstream)) refuse_waiting(upstream);
}

void SessionLife::settle_requests(Session& session, Event& event) {
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
  // No byte of the rest has left. From the last to the first, so that they keep their order at the queue's head.
  while (!session.in_flight.empty()) {
    const auto index = session.in_flight.back();
    session.in_flight.remove(requests, index);
    --upstream.in_flight;
    requests[index].state = RequestState::requeued;
    requests[index].session = kNone;
    upstream.queue.push_front(requests, index);
  }
}

void SessionLife::retry_later(Session& session, Event& event) {
  if (state_->draining || session.orderly) return state_->set_state(session, SessionState::none);
  const auto& backoff = state_->upstream_of(session).settings->backoff;
  // In TLS 1.3 a host turns a client's certificate down after the handshake (RFC 8446 section 4.4.2.4).
  const bool came_up = session.was_ready && session.end_reason != Reason::certificate_rejected_by_host;
  session.failures = came_up ? 0 : session.failures + 1;
  if (!came_up) ++session.endpoint;
  // A host that ends each session as soon as it is up gets pauses like one that cannot be reached.
  const auto longest_ns = backoff.max_ms * kNanosecondsPerMillisecond;
  const bool was_of_use = came_up && (session.was_heard || state_->now_ns - session.since_ns >= longest_ns);
  session.fruitless = was_of_use ? 0 : session.fruitless + 1;
  const auto doublings = std::min(session.fruitless > 0 ? session.fruitless - 1 : 0U, 20U);
  const auto delay_ms = std::min<std::uint64_t>(std::uint64_t{backoff.initial_ms} << doublings, backoff.max_ms);
  const auto spread_ms = delay_ms * backoff.jitter_percent / 100;
  std::uniform_int_distribution<std::uint64_t> jitter(0, 2 * spread_ms);
  const auto wait_ms = delay_ms - spread_ms + jitter(state_->random);
  event.retry_in_ms = static_cast<std::uint32_t>(wait_ms);
  state_->set_state(session, SessionState::backing_off);
  state_->set_timer(session, state_->now_ns + wait_ms * kNanosecondsPerMillisecond);
}

bool SessionLife::is_hopeful(const Upstream& upstream) {
  return std::ranges::any_of(upstream.sessions, [](const Session* session) {
    return session->is_up() || (session->state != SessionState::none && session->failures == 0);
  });
}

void SessionLife::refuse_waiting(Upstream& upstream) {
  const auto reason = state_->draining ? Reason::engine_draining : upstream.last_error_reason;
  while (!upstream.queue.empty()) settlement_->refuse(upstream.queue.front(), reason);
}

void SessionLife::tell(Session& session, Event& event) {
  auto& upstream = state_->upstream_of(session);
  const auto address = session.address.text();
  event.upstream = upstream.settings->name;
  event.session = session.number;
  event.address = address;
  state_->seams.events.event(event);
}

}  // namespace tlsmux::engine::mux
