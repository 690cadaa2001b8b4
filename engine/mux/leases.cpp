#include "engine/mux/leases.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/leases.hpp"
#include "engine/mux/lease_pool.hpp"
#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::mux {

using shm::Reason;
using shm::SessionState;

namespace {

constexpr std::uint16_t kTls13 = 0x0304;
constexpr std::size_t kRoomKeptBytes = 256;   // for what TLS says itself
constexpr std::size_t kPieceBytesMin = 1024;  // less is not sealed while there is more to come
constexpr std::size_t kGreetingBytesMax = 16 * 1024;
// A host that closes connections before is one that cannot be used, and one that closes them later has had enough of
// waiting.
constexpr std::uint64_t kPatienceNs = 1'000 * kNanosecondsPerMillisecond;

}  // namespace

// ---- Who has which ----

Leases::Place* Leases::find(StreamId stream) {
  if (stream.index >= places_.size()) return nullptr;
  auto& place = places_[stream.index];
  return place.upstream != kNone && place.stream == stream ? &place : nullptr;
}

Session* Leases::session_of(StreamId stream) {
  const auto* place = find(stream);
  if (place == nullptr || place->session == kNone) return nullptr;
  auto& session = state_->sessions[place->session];
  return session.closing ? nullptr : &session;
}

std::size_t Leases::count(const Upstream& upstream) {
  return upstream.lease_queue.size() +
         static_cast<std::size_t>(std::ranges::count_if(upstream.sessions, &Session::is_leased));
}

// ---- In use ----

std::size_t Leases::write(StreamId stream, std::span<const std::byte> bytes) {
  auto* session = session_of(stream);
  if (session == nullptr) return 0;
  auto& lease = session->lease;
  TMX_ASSERT(!lease.has_finished);
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const auto left = bytes.size() - taken;
    const auto kept = session->tls->record_overhead_bytes() + kRoomKeptBytes;
    if (session->wire.room() < kept + std::min(left, kPieceBytesMin)) break;
    const auto length = std::min({left, session->wire.room() - kept, session->tls->record_bytes_max()});
    const auto piece = bytes.subspan(taken, length);
    if (lease.doubt_position == Lease::kNoDoubt) lease.doubt_position = session->record_position();
    lease.is_touched = true;
    if (const auto sealed = session->tls->seal(std::span(&piece, 1), session->wire); !sealed) {
      life_->fail(*session, sealed.error().reason, sealed.error().words);
      return taken;
    }
    if (lease.boundary != nullptr) lease.boundary->sent(piece);
    lease.has_last_word = true;
    taken += length;
  }
  lease.wants_room = taken < bytes.size();
  settle_doubt(*session);
  if (session->tls->is_worn_out()) state_->upstream_of(*session).pool_changed = true;
  life_->send_sealed(*session);
  return taken;
}

void Leases::has_sent(Session& session) {
  auto& lease = session.lease;
  if (session.closing || !lease.holder) return;
  if (lease.owes_close_notify) say_close_notify(session);
  // The memory starts over only when all is accepted.
  if (!session.wire.empty() || !std::exchange(lease.wants_room, false)) return;
  state_->seams.lease_holders.lease_has_room(*lease.holder);
}

void Leases::finish_writing(StreamId stream) {
  auto* session = session_of(stream);
  if (session == nullptr || std::exchange(session->lease.has_finished, true)) return;
  const bool is_kept = state_->upstream_of(*session).settings->streams.reuse == config::StreamReuse::always;
  if (session->lease.boundary != nullptr || is_kept || session->facts.version_number != kTls13) return;
  session->lease.owes_close_notify = true;
  say_close_notify(*session);
}

void Leases::say_close_notify(Session& session) {
  if (session.wire.room() < session.tls->record_overhead_bytes() + kRoomKeptBytes / 2) return;
  session.lease.owes_close_notify = false;
  session.lease.said_close_notify = true;
  session.tls->close_notify(session.wire);
  life_->send_sealed(session);
}

void Leases::hold(StreamId stream) {
  auto* session = session_of(stream);
  if (session == nullptr || std::exchange(session->lease.is_held, true)) return;
  state_->seams.network.hold(session->id);
}

void Leases::resume(StreamId stream) {
  auto* session = session_of(stream);
  if (session == nullptr || !std::exchange(session->lease.is_held, false)) return;
  state_->seams.network.resume(session->id);
}

// What is given to the network can be answered; what is only sealed cannot.
void Leases::settle_doubt(Session& session) {
  auto& lease = session.lease;
  if (lease.doubt_position == Lease::kNoDoubt || lease.boundary == nullptr || lease.boundary->is_owed()) return;
  const bool all_is_offered = session.wire.sealed_position() == session.offered_position;
  lease.doubt_position = all_is_offered ? Lease::kNoDoubt : std::max(lease.doubt_position, session.offered_position);
}

// ---- Back ----

std::optional<bool> Leases::is_at_rest(StreamId stream) {
  const auto* session = session_of(stream);
  if (session == nullptr) return false;  // its loss is about to be told
  const auto& lease = session->lease;
  if (!lease.is_touched) return true;
  if (lease.boundary == nullptr) return std::nullopt;
  return !lease.boundary->is_owed_at_end();
}

void Leases::give_back(StreamId stream, bool has_read_all) {
  auto* place = find(stream);
  if (place == nullptr) return;
  const auto given_back = std::exchange(*place, {});
  auto& upstream = *state_->upstreams[given_back.upstream];
  upstream.changed = upstream.pool_changed = true;
  if (given_back.session == kNone) return upstream.lease_queue.remove(stream);

  auto& session = state_->sessions[given_back.session];
  auto& lease = session.lease;
  if (TMX_HAS_BUG(keep_lease) && lease.is_touched) return;
  lease.holder.reset();
  lease.wants_room = lease.owes_close_notify = false;
  session.request_ns = session.heard_ns = state_->now_ns;
  if (session.closing) return;
  if (std::exchange(lease.is_held, false)) state_->seams.network.resume(session.id);
  if (const char* why = why_not_again(upstream, session, has_read_all); why != nullptr) {
    session.signed_off = true;  // in the middle of something, where nothing of ours would be understood
    if (session.is_up()) life_->drain(session, why);
  } else {
    life_->pursue(session, Progress::waiting);  // heartbeats again
  }
}

void Leases::reuse_changed(Upstream& upstream, config::StreamReuse before) {
  const auto now = upstream.settings->streams.reuse;
  // What `at_boundary` lets pass, `always` does, too; and of `never` no session is left.
  const bool is_stricter = before == config::StreamReuse::always || now == config::StreamReuse::never;
  if (before == now || !is_stricter) return;
  for (auto* session : upstream.sessions) {
    if (session->closing || session->requests == 0) continue;
    session->lease.is_spent = true;
    if (!session->is_up() || session->is_leased()) continue;
    session->signed_off = true;  // as in give_back()
    life_->drain(*session, "the configuration has changed");
  }
}

void Leases::renew_boundary(Session& session) {
  const auto& upstream = state_->upstream_of(session);
  session.lease.boundary = message::make_boundary(upstream.settings->framing, upstream.framing);
}

// ---- News of sessions ----

void Leases::session_ready(Session& session) {
  if (config::leases_sessions(*state_->upstream_of(session).settings)) renew_boundary(session);
}

bool Leases::received(Session& session, std::span<const std::byte> plaintext) {
  auto& lease = session.lease;
  const auto& settings = *state_->upstream_of(session).settings;
  if (!lease.holder) {
    if (!config::leases_sessions(settings)) return false;
    // A stream that has ended within a message leaves the rest of its answer behind.
    const bool is_talking = session.state != SessionState::draining || session.exchange.is_open();
    if (config::cuts_messages(settings.framing.kind) && is_talking) return false;
    const bool is_greeting = session.requests == 0 && lease.boundary == nullptr &&
                             lease.greeting.size() + plaintext.size() <= kGreetingBytesMax;
    if (is_greeting) {
      lease.greeting.insert(lease.greeting.end(), plaintext.begin(), plaintext.end());
    } else {
      intrude(session);
    }
    return true;
  }
  // RFC 9112 section 9.2: it answers nothing of this stream, which has not asked yet.
  const bool may_be_for_another = !lease.is_touched && session.requests > 1;
  if (may_be_for_another && !config::cuts_messages(settings.framing.kind)) {
    intrude(session);
    return true;
  }
  session.was_heard = lease.is_touched = true;
  lease.has_last_word = false;
  state_->upstream_of(session).hosts_answer = true;
  session.heard_ns = state_->now_ns;
  if (lease.boundary != nullptr) lease.boundary->received(plaintext);
  settle_doubt(session);
  state_->seams.lease_holders.host_sent(*lease.holder, plaintext);
  return true;
}

void Leases::settle(Session& session) {
  if (!session.lease.is_intruded) return;
  if (session.requests > 0) state_->upstream_of(session).hosts_answer = true;  // perhaps to a stream that has gone
  if (!session.is_up() && !session.is_leased()) return;
  end_idle(session, Reason::stream_corrupt, "the host sent something that nobody had asked for");
}

bool Leases::host_finished(Session& session) {
  auto& lease = session.lease;
  if (!lease.holder) return host_closed(session, 0);
  if (lease.is_intruded) {  // the end of an answer to another, perhaps, and of nothing that was said to this one
    settle(session);
    return true;
  }
  if (!std::exchange(lease.host_has_finished, true)) state_->seams.lease_holders.host_finished(*lease.holder);
  life_->send_sealed(session);
  return true;
}

bool Leases::host_closed(Session& session, int error) {
  if (session.lease.holder) return error == 0 && session.lease.host_has_finished;
  const bool is_pooled = session.is_open() && session.was_ready;
  if (!is_pooled || !config::leases_sessions(*state_->upstream_of(session).settings)) return false;
  end_idle(session, Reason::host_closed, "the host closed it while no stream had it");
  return true;
}

// In good order, unless it looks as if no session could ever be of use.
void Leases::end_idle(Session& session, Reason reason, std::string words) {
  if (session.requests > 0 || state_->now_ns - session.ready_ns >= kPatienceNs) {
    life_->close(session, reason, std::move(words));
  } else {
    session.was_heard = false;  // nothing that was of use
    life_->fail(session, reason, std::move(words));
  }
}

void Leases::session_ended(Session& session) {
  const auto lease = std::exchange(session.lease, {});
  if (!lease.holder) return;
  places_[lease.holder->index] = {};
  const bool maybe_sent = lease.doubt_position < session.wire.accepted_position();
  state_->seams.lease_holders.lease_lost(*lease.holder, session.end_reason, session.end_words, maybe_sent);
}

}  // namespace tlsmux::engine::mux
