#include "engine/mux/session_life.hpp"

#include <algorithm>
#include <cstring>

#include "engine/mux/leases.hpp"
#include "engine/mux/session_source.hpp"
#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::mux {

using shm::Reason;
using shm::SessionState;

namespace {

constexpr std::size_t kHandshakeHeldBytesMax = 256 * 1024;  // while a worker is at the step before

}  // namespace

void SessionLife::start(Session& session, std::uint32_t endpoint) {
  auto& upstream = state_->upstream_of(session);
  session.endpoint = endpoint;
  session.gives_hope = !upstream.endpoints[endpoint].failed;
  session.started_ns = state_->now_ns;
  session.orderly = session.was_ready = session.was_heard = session.is_extra = session.is_outdated = false;
  session.end_reason = Reason::none;
  session.end_words.clear();
  session.facts = {};
  session.source_ports_tried = 0;
  session.requests = session.heard_ns = session.retire_ns = session.heartbeat_ns = 0;
  session.heartbeats_missed = 0;
  session.cutter = std::make_unique<message::FrameCutter>(upstream.framing);
  resolve(session);
}

void SessionLife::resolve(Session& session) {
  auto& upstream = state_->upstream_of(session);
  const auto& endpoint = upstream.endpoints[session.endpoint].settings;
  state_->set_state(session, SessionState::resolving);
  state_->set_timer_in_ms(session.timer_ns, upstream.settings->timeouts.connect_ms);
  if (const auto literal = parse_literal(endpoint.host, endpoint.port)) {
    addresses_found(session, {*literal});
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
  addresses_found(*session, *addresses);
}

void SessionLife::addresses_found(Session& session, std::vector<Address> addresses) {
  const auto& source = state_->upstream_of(session).connect_options.source;
  if (source) {
    std::erase_if(addresses, [&](const Address& address) { return address.family != source->family; });
    if (addresses.empty()) {
      return fail(session, Reason::connect_failed, "the host has no address that source_address can connect to");
    }
  }
  session.addresses = std::move(addresses);
  connect_next_address(session);
}

void SessionLife::connect_next_address(Session& session) {
  session.address = session.addresses.front();
  session.addresses.erase(session.addresses.begin());
  auto& upstream = state_->upstream_of(session);
  state_->set_state(session, SessionState::connecting);
  state_->set_timer_in_ms(session.timer_ns, upstream.settings->timeouts.connect_ms);
  const auto options = take_source(upstream, session);
  if (!options) {
    session.addresses.clear();  // there is no port for these either
    return fail(session, Reason::connect_failed, options.error());
  }
  session.wire = tls::WireBuffer(state_->seams.network.send_memory(session.id.index));
  session.offered_position = 0;
  session.has_connection = true;
  state_->seams.network.connect(session.id, session.address, *options);
}

void SessionLife::connected(SessionId id, int error) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing) return;
  const auto& upstream = state_->upstream_of(*session);
  const auto& settings = *upstream.settings;
  if (error != 0) {
    if (is_worth_another_port(upstream, *session, error)) {
      session->addresses.insert(session->addresses.begin(), session->address);
    }
    return fail(*session, reason_of_connect_error(error),
                "connect" + source_in_words(upstream, *session) + ": " + std::string(std::strerror(error)));
  }
  const auto& host = upstream.endpoints[session->endpoint].settings.host;
  auto tls = upstream.tls_client->start(settings.tls.server_name.empty() ? host : settings.tls.server_name);
  if (!tls) return fail(*session, tls.error().reason, tls.error().words);
  session->tls = std::move(*tls);
  state_->set_state(*session, SessionState::handshaking);
  state_->set_timer_in_ms(session->timer_ns, settings.timeouts.handshake_ms);
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
  if (*result == tls::HandshakeState::done) return handshake_done(*session);
  if (!session->handshake_received.empty()) {
    return step_handshake(*session, std::exchange(session->handshake_received, {}));
  }
  if (session->host_ended) {
    fail(*session, Reason::handshake_failed, "the host closed the connection during the TLS handshake");
  }
}

// Where a session signs on, if its upstream wants that: it is ready when the host has agreed.
void SessionLife::handshake_done(Session& session) {
  auto& upstream = state_->upstream_of(session);
  session.facts = session.tls->peer_facts();
  ++(session.facts.resumed ? upstream.handshakes_resumed : upstream.handshakes_full);
  state_->set_state(session, SessionState::signing_on);
  session.heard_ns = state_->now_ns;
  const auto& messages = upstream.messages.sign_on();
  // One more for a session that waits for another's sign-on.
  state_->set_timer_in_ms(session.timer_ns, upstream.settings->timeouts.sign_on_ms * (messages.size() + 1));
  pursue(session, conversation_->sign_on(session));
}

void SessionLife::pursue(Session& session, const Pursued& pursued) {
  if (session.closing) return;
  if (!pursued) return fail(session, pursued.error().reason, pursued.error().words);
  if (*pursued == Progress::done && session.state == SessionState::signing_on) {
    become_ready(session);
    sign_on_waiting(state_->upstream_of(session));
  }
  session.talk_ns = 0;
  if (const auto due_ns = conversation_->due_ns(session); due_ns != 0) state_->set_timer(session.talk_ns, due_ns);
}

// The session that they waited for has signed on for all, or cannot.
void SessionLife::sign_on_waiting(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    const bool waits = session->state == SessionState::signing_on && !session->exchange.is_open();
    if (waits && !session->closing) pursue(*session, conversation_->sign_on(*session));
  }
}

void SessionLife::say(Session& session) {
  if (session.own_words.empty() || !session.is_open()) return;
  if (const auto sealed = conversation_->seal(session); !sealed) {
    return fail(session, sealed.error().reason, sealed.error().words);
  }
  send_sealed(session);
}

void SessionLife::become_ready(Session& session) {
  state_->upstream_of(session).endpoints.came_up(session.endpoint);
  session.was_ready = true;
  session.ready_ns = session.request_ns = state_->now_ns;
  session.addresses.clear();
  state_->set_state(session, SessionState::ready);
  leases_->session_ready(session);
  if (session.sending) watch_for_stall(session);  // the end of the handshake may stall as well
  Event event{.kind = EventKind::session_ready};
  tell(session, event);
}

void SessionLife::send_sealed(Session& session) {
  if (session.sending || session.wire.empty()) return;
  session.sending = true;
  session.offered_position = session.wire.sealed_position();
  if (session.is_open()) watch_for_stall(session);
  state_->seams.network.send(session.id, session.wire.pending());
}

void SessionLife::watch_for_stall(Session& session) {
  state_->set_timer_in_ms(session.stall_ns, state_->upstream_of(session).settings->timeouts.write_stall_ms);
}

void SessionLife::sent(SessionId id, std::int64_t result) {
  auto* session = state_->find(id);
  if (session == nullptr) return;
  TMX_ASSERT(session->sending);
  session->sending = false;
  session->stall_ns = 0;
  if (result < 0) {
    return fail(*session, Reason::connection_lost, "send: " + std::string(std::strerror(static_cast<int>(-result))));
  }
  session->wire.accept(static_cast<std::size_t>(result));
  if (!session->closing) send_sealed(*session);
  leases_->has_sent(*session);
}

void SessionLife::ended(SessionId id, int error) {
  auto* session = state_->find(id);
  if (session == nullptr || session->closing) return;
  const bool shaking_hands = session->state == SessionState::handshaking;
  if (shaking_hands && session->tls == nullptr) {
    session->host_ended = true;  // what the worker is looking at may say why
  } else if (leases_->host_closed(*session, error)) {
    return;
  } else if (error != 0) {
    const auto reason = shaking_hands ? Reason::handshake_failed : Reason::connection_lost;
    fail(*session, reason, "receive: " + std::string(std::strerror(error)));
  } else if (shaking_hands) {
    fail(*session, Reason::handshake_failed, "the host closed the connection during the TLS handshake");
  } else {
    fail(*session, Reason::host_closed, "the host closed the connection without closing the TLS session");
  }
}

void SessionLife::fail(Session& session, Reason reason, std::string words) {
  if (session.closing) return;
  session.closing = true;
  session.end_reason = reason;
  session.end_words = std::move(words);
  session.timer_ns = session.stall_ns = session.silence_ns = session.talk_ns = 0;
  if (TMX_HAS_BUG(judge_early)) {
    Event unused{};  // the send under way may still come to something
    end_.settle_requests(session, unused);
  }
  if (session.has_connection) {
    state_->seams.network.close(session.id);
  } else {
    finish(session);
  }
}

void SessionLife::close(Session& session, Reason reason, std::string words) {
  if (session.closing || session.state == SessionState::none) return;
  session.orderly = true;
  if (session.state == SessionState::backing_off) return state_->set_state(session, SessionState::none);
  if (session.is_open()) {
    if (!session.lease.said_close_notify) session.tls->close_notify(session.wire);
    send_sealed(session);
  }
  fail(session, reason, std::move(words));
}

void SessionLife::drain(Session& session, std::string words) {
  TMX_ASSERT(session.is_up());
  session.end_words = std::move(words);
  state_->set_state(session, SessionState::draining);
  const auto& upstream = state_->upstream_of(session);
  const auto drain_ms = upstream.drain_ms != 0 ? upstream.drain_ms : upstream.settings->timeouts.drain_ms;
  state_->set_timer_in_ms(session.timer_ns, drain_ms);
}

// Where a session signs off, if its upstream wants that: it is closed when the host has agreed, or does not answer.
void SessionLife::finish_draining(Session& session) {
  if (!std::exchange(session.signed_off, true)) {
    const auto begun = conversation_->sign_off(session);
    if (begun && *begun == Progress::waiting) return pursue(session, begun);
  }
  close(session, Reason::upstream_draining, std::exchange(session.end_words, {}));
}

void SessionLife::closed(SessionId id) {
  auto* session = state_->find(id);
  if (session == nullptr) return;
  TMX_ASSERT(session->closing && session->has_connection && !session->sending);
  session->has_connection = false;
  finish(*session);
}

void SessionLife::fire_timers(Session& session) {
  const auto is_due = [&](std::uint64_t timer_ns) { return timer_ns != 0 && timer_ns <= state_->now_ns; };
  if (is_due(session.timer_ns)) timer_expired(session);
  if (is_due(session.stall_ns)) fail(session, Reason::write_stalled, "the host takes no more bytes");
  if (is_due(session.silence_ns)) look_for_silence(session);
  if (is_due(session.talk_ns)) pursue(session, conversation_->tend(session));
}

void SessionLife::timer_expired(Session& session) {
  session.timer_ns = 0;
  switch (session.state) {
    case SessionState::resolving:
      return fail(session, Reason::name_not_resolved, "no answer from the resolver in time");
    case SessionState::connecting: return fail(session, Reason::connect_timeout, "the connect took too long");
    case SessionState::handshaking: return fail(session, Reason::handshake_timeout, "the TLS handshake took too long");
    case SessionState::draining:
      return close(session, Reason::upstream_draining,
                   session.end_words +
                       (session.is_leased() ? "; a stream still had the session" : "; answers were still outstanding"));
    case SessionState::signing_on:
      return fail(session, Reason::sign_on_timeout, "the upstream was not signed on in time");
    case SessionState::none:
    case SessionState::backing_off:
    case SessionState::ready: return;
  }
}

void SessionLife::look_for_silence(Session& session) {
  session.silence_ns = 0;
  if (session.in_flight.empty()) return;  // armed again with the next request
  const auto silence_ms = state_->upstream_of(session).settings->timeouts.silence_ms;
  if (silence_ms == 0) return;  // the settings have changed meanwhile
  const auto end_ns = session.quiet_since_ns + silence_ms * kNanosecondsPerMillisecond;
  if (end_ns > state_->now_ns) return state_->set_timer(session.silence_ns, end_ns);
  fail(session, Reason::host_silent, "the host sent nothing for silence_ms while requests were in flight");
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
  end_.settle_requests(session, event);
  leases_->session_ended(session);
  conversation_->end(session);
  give_source_back(upstream, session);
  ++session.id.generation;  // news of this connection that still comes finds nobody
  session.closing = session.host_ended = false;
  if (!session.orderly && !session.was_ready && !state_->draining && !session.addresses.empty()) {
    // The name has more addresses: try the next at once.
    tell(session, event);
    return connect_next_address(session);
  }
  const auto pause_ns = session.orderly ? 0 : end_.judge_end(session);
  session.start_ns = state_->now_ns + pause_ns;
  // One that was to end anyway, or was a trial, is not missed.
  const bool is_missed = !session.orderly && session.state != SessionState::draining && !session.fails_back;
  session.replaces = kNone;
  session.fails_back = false;
  state_->set_state(session, is_missed && !state_->draining ? SessionState::backing_off : SessionState::none);
  event.retry_in_ms = static_cast<std::uint32_t>(std::max(pause_ns, upstream.endpoints.wait_ns(state_->now_ns)) /
                                                 kNanosecondsPerMillisecond);
  tell(session, event);
  sign_on_waiting(upstream);
  if (upstream.removed || upstream.is_ending || !is_hopeful(upstream)) refuse_waiting(upstream);
}

bool SessionLife::is_hopeful(const Upstream& upstream) const {
  const bool may_come = !upstream.endpoints.all_have_failed();
  // While the engine drains, none begins that had not begun before.
  if (may_come && !state_->draining) return true;
  return std::ranges::any_of(upstream.sessions, [&](const Session* session) {
    if (session->is_up() || (may_come && session->state != SessionState::none)) return true;
    return session->is_starting() && session->gives_hope && !session->closing;
  });
}

void SessionLife::refuse_waiting(Upstream& upstream) {
  const auto reason = state_->draining     ? Reason::engine_draining
                      : upstream.removed   ? Reason::upstream_removed
                      : upstream.is_ending ? Reason::upstream_draining
                                           : upstream.last_error_reason;
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
