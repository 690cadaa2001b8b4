// Streams that wait for a session: who gets which, and who waits in vain.
#include <algorithm>
#include <utility>

#include "config/leases.hpp"
#include "engine/mux/guaranteed_parts.hpp"
#include "engine/mux/lease_pool.hpp"
#include "engine/mux/leases.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

using shm::Reason;

namespace {

// Whether a program that offers these protocols (RFC 7301 section 3.1: each behind its length) can use the session's.
bool suits(const Session& session, std::string_view offered) {
  const auto& chosen = session.facts.alpn;
  if (chosen.empty() || offered.empty()) return true;
  while (!offered.empty()) {
    const auto length = static_cast<unsigned char>(offered.front());
    offered.remove_prefix(1);
    if (length == chosen.size() && offered.starts_with(chosen)) return true;
    offered.remove_prefix(std::min<std::size_t>(length, offered.size()));
  }
  return false;
}

}  // namespace

void Leases::ask(const NewLease& lease) {
  auto& upstream = *state_->upstreams[lease.upstream];
  TMX_ASSERT(config::leases_sessions(*upstream.settings) && find(lease.stream) == nullptr);
  if (lease.stream.index >= places_.size()) places_.resize(lease.stream.index + 1);
  places_[lease.stream.index] = {.stream = lease.stream, .upstream = lease.upstream, .group = lease.group};
  const std::uint64_t wait_ms = lease.wait_ms != 0 ? lease.wait_ms : upstream.settings->streams.wait_ms;
  const auto deadline_ns = state_->now_ns + wait_ms * kNanosecondsPerMillisecond;
  upstream.lease_queue.push(
      {.stream = lease.stream, .group = lease.group, .deadline_ns = deadline_ns, .alpn = std::string(lease.alpn)});
  if (upstream.lease_due_ns == 0 || deadline_ns < upstream.lease_due_ns) {
    state_->set_timer(upstream.lease_due_ns, deadline_ns);
  }
  upstream.changed = upstream.pool_changed = true;
}

void Leases::serve(Upstream& upstream) {
  upstream.lease_due_ns = 0;
  if (upstream.lease_queue.empty()) return;
  refuse_overdue(upstream);
  std::vector<bool> passed_over(upstream.groups_counters.size());
  while (const auto* next = upstream.lease_queue.front(passed_over)) {
    if (refuse_in_vain(upstream, *next)) continue;
    if (is_part_of_others(upstream, next->group)) {
      passed_over[next->group] = true;
      continue;
    }
    auto* session = choose(upstream, next->alpn);
    if (session == nullptr) break;
    grant(*session, upstream.lease_queue.take(*next));
  }
  if (const auto due_ns = upstream.lease_queue.earliest_deadline_ns(); due_ns != 0) {
    state_->set_timer(upstream.lease_due_ns, due_ns);
  }
}

void Leases::refuse(Upstream& upstream, const WaitingStream& waiting, Reason reason, std::string_view words) {
  places_[waiting.stream.index] = {};
  upstream.changed = upstream.pool_changed = true;
  state_->seams.lease_holders.lease_refused(waiting.stream, reason, words.empty() ? shm::reason_text(reason) : words);
}

void Leases::refuse_waiting(Upstream& upstream, Reason reason) {
  while (const auto* next = upstream.lease_queue.front()) {
    refuse(upstream, upstream.lease_queue.take(*next), reason, {});
  }
}

void Leases::refuse_overdue(Upstream& upstream) {
  const bool any_up = std::ranges::any_of(upstream.sessions, &Session::is_up);
  while (const auto waiting = upstream.lease_queue.take_overdue(state_->now_ns)) {
    if (any_up) {
      refuse(upstream, *waiting, Reason::overload, why_none_is_free(upstream, waiting->group));
    } else if (upstream.last_error_reason != Reason::none) {
      refuse(upstream, *waiting, upstream.last_error_reason, upstream.last_error);
    } else {
      refuse(upstream, *waiting, Reason::no_session, "no session came up in time");
    }
  }
}

std::string Leases::why_none_is_free(const Upstream& upstream, std::uint32_t group) {
  const auto sessions_max = config::sessions_max(*upstream.settings);
  if (std::ranges::count_if(upstream.sessions, &Session::is_leased) >= std::int64_t{sessions_max}) {
    return "other streams have all sessions of the upstream (" + std::to_string(sessions_max) +
           "): raise its sessions_max in the configuration";
  }
  if (is_part_of_others(upstream, group)) {
    return "what is left of the upstream's " + std::to_string(sessions_max) +
           " sessions is kept for other groups: raise its sessions_max in the configuration";
  }
  return "no session became free in time, and no further one came up";
}

// True: it waited in vain, and does not any more.
bool Leases::refuse_in_vain(Upstream& upstream, const WaitingStream& next) {
  const auto refuse_it = [&](Reason reason, std::string_view words = {}) {
    refuse(upstream, upstream.lease_queue.take(next), reason, words);
    return true;
  };
  if (state_->draining) return refuse_it(Reason::engine_draining);
  if (upstream.removed || upstream.is_shut_out(next.group)) return refuse_it(Reason::upstream_removed);
  if (upstream.draining) return refuse_it(Reason::upstream_draining);
  if (!is_hopeful(upstream)) {
    const bool is_known = upstream.last_error_reason != Reason::none;
    return is_known ? refuse_it(upstream.last_error_reason, upstream.last_error) : refuse_it(Reason::no_session);
  }
  const auto is_unfit = [&](const Session* session) { return !session->is_up() || !suits(*session, next.alpn); };
  const bool any_up = std::ranges::any_of(upstream.sessions, &Session::is_up);
  if (any_up && std::ranges::all_of(upstream.sessions, is_unfit)) {
    return refuse_it(Reason::handshake_failed,
                     "the program offers no application protocol (ALPN) that the sessions of the upstream have");
  }
  return false;
}

// All sessions that are not leased are needed for what the other groups are guaranteed.
bool Leases::is_part_of_others(const Upstream& upstream, std::uint32_t group) {
  GuaranteedParts parts(upstream, config::sessions_max(*upstream.settings));
  for (const auto* session : upstream.sessions) {
    if (!session->is_up() || !session->is_leased()) continue;  // one that drains has its successor
    if (const auto* place = find(*session->lease.holder)) parts.hold(place->group);
  }
  return !parts.may_have_another(group);
}

// Where no session is kept up, nobody but those who wait has a failed endpoint tried again.
bool Leases::is_hopeful(const Upstream& upstream) const {
  if (life_->is_hopeful(upstream)) return true;
  if (upstream.settings->sessions != 0) return false;
  const bool is_tried = std::ranges::any_of(
      upstream.sessions, [](const Session* session) { return session->is_starting() && !session->closing; });
  return is_tried || upstream.endpoints.wait_ns(state_->now_ns) == 0;
}

// The one that was used last: it will be open for longest, and the others may end for want of use.
Session* Leases::choose(Upstream& upstream, std::string_view alpn) {
  Session* latest = nullptr;
  for (auto* session : upstream.sessions) {
    if (!is_free(*session) || !suits(*session, alpn)) continue;
    const auto end_ns = idle_end_ns(upstream, *session);
    if (end_ns && *end_ns <= state_->now_ns) continue;
    if (latest == nullptr || session->request_ns > latest->request_ns) latest = session;
  }
  return latest;
}

void Leases::grant(Session& session, const WaitingStream& waiting) {
  auto& upstream = state_->upstream_of(session);
  auto greeting = std::exchange(session.lease.greeting, {});
  auto boundary = std::move(session.lease.boundary);
  session.lease = {.holder = waiting.stream, .boundary = std::move(boundary), .greeting = {}};
  // What another stream has left behind where nobody minds (`reuse: always`) is not this one's.
  if (!is_between_messages(session.lease)) renew_boundary(session);
  places_[waiting.stream.index].session = session.id.index;
  session.request_ns = state_->now_ns;
  ++session.requests;
  upstream.changed = upstream.pool_changed = true;
  state_->seams.lease_holders.lease_granted(waiting.stream, session.facts);
  if (!greeting.empty()) received(session, greeting);
}

}  // namespace tlsmux::engine::mux
