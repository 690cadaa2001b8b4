#include "engine/mux/session_pool.hpp"

#include <algorithm>

#include "config/leases.hpp"
#include "engine/mux/lease_pool.hpp"

namespace tlsmux::engine::mux {

using config::sessions_max;
using shm::Reason;
using shm::SessionState;

namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint32_t kAgeJitterPercent = 10;
// A host that still shows the certificate that is about to expire is asked again after this part of the margin.
constexpr std::uint32_t kCertificateRetryPart = 8;
constexpr std::uint32_t kCertificateRetrySMin = 60;

// Ends in good order, or is about to.
bool is_leaving(const Session& session) {
  return session.state == SessionState::draining || (session.closing && session.orderly);
}

bool has_place(const Session& session) {
  return session.state != SessionState::none && session.state != SessionState::backing_off;
}

}  // namespace

// ---- What there is ----

SessionPool::Count SessionPool::count(const Upstream& upstream) {
  Count count;
  for (const auto* session : upstream.sessions) {
    count.connections += has_place(*session) ? 1 : 0;
    count.starting += session->is_starting() ? 1 : 0;
    count.any_draining = count.any_draining || is_leaving(*session);
    count.any_exchange = count.any_exchange || session->replaces != kNone;
    if (session->state == SessionState::none || is_leaving(*session) || session->replaces != kNone) continue;
    ++count.serving;
    count.up += session->is_up() ? 1 : 0;
  }
  return count;
}

void SessionPool::count_loads(const Upstream& upstream) {
  loads_.assign(upstream.endpoints.size(), {});
  for (const auto* session : upstream.sessions) {
    if (!has_place(*session) || is_leaving(*session)) continue;
    auto& load = loads_[session->endpoint];
    ++load.sessions;
    load.is_tried = load.is_tried || session->is_starting();
  }
}

Session* SessionPool::free_place(Upstream& upstream) {
  const auto free = std::ranges::find(upstream.sessions, SessionState::none, &Session::state);
  return free == upstream.sessions.end() ? nullptr : *free;
}

void SessionPool::call_by(Upstream& upstream, std::uint64_t at_ns) {
  if (at_ns <= state_->now_ns) return;  // what is overdue waits for something else to change
  if (upstream.pool_due_ns == 0 || at_ns < upstream.pool_due_ns) state_->set_timer(upstream.pool_due_ns, at_ns);
}

// ---- The whole ----

void SessionPool::start() {
  for (auto& upstream : state_->upstreams) {
    upstream->wanted = upstream->settings->sessions;
    upstream->pool_changed = true;
  }
  tend();
}

void SessionPool::tend() {
  for (auto& upstream : state_->upstreams) {
    const bool is_due = upstream->pool_due_ns != 0 && upstream->pool_due_ns <= state_->now_ns;
    if (is_due || upstream->is_watched) tend(*upstream);
    while (upstream->pool_changed) tend(*upstream);
  }
}

void SessionPool::tend(Upstream& upstream) {
  upstream.pool_changed = false;
  upstream.pool_due_ns = 0;
  end_drained(upstream);
  finish_exchanges(upstream);
  const bool is_leased = config::leases_sessions(*upstream.settings);
  if (is_leased) upstream.wanted = sessions_for_leases(upstream, sessions_max(*upstream.settings));
  if (!state_->draining) {
    const bool may_end = upstream.draining && upstream.queue.empty();
    reach(upstream, may_end ? 0 : upstream.wanted);
    mark_extras(upstream);
    if (!upstream.draining) {
      is_leased ? end_idle(upstream) : shrink(upstream);
      rotate(upstream);
    }
  }
  start_waiting(upstream);
  if (!state_->draining && !upstream.draining) fail_back(upstream);
  const auto now = count(upstream);
  upstream.is_watched = now.any_draining || now.any_exchange || upstream.draining;
}

void SessionPool::end_drained(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    if (session->state != SessionState::draining || session->closing) continue;
    if (SessionLife::has_drained(*session)) life_->finish_draining(*session);
  }
}

// ---- How many ----

void SessionPool::let_wait(Session& session) {
  session.start_ns = state_->now_ns;
  state_->set_state(session, SessionState::backing_off);
}

void SessionPool::reach(Upstream& upstream, std::uint32_t target) {
  for (auto serving = count(upstream).serving; serving < target; ++serving) {
    auto* place = free_place(upstream);
    if (place == nullptr) break;
    let_wait(*place);
  }
  for (auto serving = count(upstream).serving; serving > target; --serving) give_up_one(upstream);
}

// The one that is missed least.
void SessionPool::give_up_one(Upstream& upstream) {
  const auto rank = [](const Session* session) {
    if (session->state == SessionState::none || is_leaving(*session) || session->replaces != kNone) return 0;
    if (session->closing) return 6;
    if (session->state == SessionState::backing_off) return 5;
    if (!session->is_up()) return 4;
    if (session->is_leased()) return 1;
    return session->is_extra ? 3 : 2;
  };
  auto* session = *std::ranges::max_element(upstream.sessions, {}, rank);
  if (session->closing) return;  // lost; once that is over, it is one that waits
  if (session->is_up()) {
    life_->drain(*session, "not needed any more");
  } else {
    life_->close(*session, Reason::upstream_draining, "not needed any more");
  }
}

void SessionPool::grow(Upstream& upstream) {
  if (upstream.wanted >= sessions_max(*upstream.settings) || upstream.draining || state_->draining) return;
  std::uint32_t up = 0;
  for (const auto* session : upstream.sessions) {
    if (!session->is_up()) continue;
    if (!is_busy(*session, *upstream.settings)) return;
    ++up;
  }
  if (up < upstream.wanted) return;  // one is on its way
  ++upstream.wanted;
  upstream.pool_changed = true;
}

void SessionPool::mark_extras(Upstream& upstream) {
  std::uint32_t up = 0;
  for (auto* session : upstream.sessions) {
    if (!session->is_up()) continue;
    session->is_extra = session->replaces == kNone && ++up > upstream.settings->sessions;
  }
}

void SessionPool::shrink(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    if (!session->is_up() || !session->is_extra || session->replaces != kNone) continue;
    if (upstream.wanted <= upstream.settings->sessions || !session->in_flight.empty()) continue;
    const auto end_ns = session->request_ns + upstream.settings->timeouts.session_idle_ms * kNanosecondsPerMillisecond;
    if (end_ns > state_->now_ns) {
      call_by(upstream, end_ns);
    } else {
      --upstream.wanted;
      life_->drain(*session, "idle");
    }
  }
}

// Where sessions are leased: those that nobody has.
void SessionPool::end_idle(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    if (!session->is_up() || session->is_leased() || session->replaces != kNone) continue;
    const auto end_ns = idle_end_ns(upstream, *session);
    if (!end_ns) continue;
    if (*end_ns > state_->now_ns) {
      call_by(upstream, *end_ns);
    } else {
      life_->drain(*session, "idle");
    }
  }
}

// ---- Starting ----

void SessionPool::start_waiting(Upstream& upstream) {
  const auto& settings = *upstream.settings;
  auto now = count(upstream);
  count_loads(upstream);
  waiting_.clear();
  for (auto* session : upstream.sessions) {
    if (session->state != SessionState::backing_off) continue;
    if (session->start_ns <= state_->now_ns) {
      waiting_.push_back(session);
    } else {
      call_by(upstream, session->start_ns);
    }
  }
  std::ranges::sort(waiting_, {}, [](const Session* session) { return std::pair(session->since_ns, session->number); });
  for (auto* session : waiting_) {
    if (now.starting >= settings.handshakes_max || now.connections >= sessions_max(settings)) return;
    const auto endpoint = upstream.endpoints.for_session(state_->now_ns, loads_);
    if (!endpoint) return call_by(upstream, upstream.endpoints.next_retry_ns(state_->now_ns));
    ++now.starting;
    ++now.connections;
    ++loads_[*endpoint].sessions;
    loads_[*endpoint].is_tried = true;
    life_->start(*session, *endpoint);
  }
}

// ---- One for another ----

// It has brought a message, or lasted: more than an endpoint does that accepts connections and drops them.
bool SessionPool::is_proven(const Session& session) const {
  const auto& upstream = *state_->upstreams[session.upstream];
  const auto longest_ns = upstream.settings->backoff.max_ms * kNanosecondsPerMillisecond;
  return session.was_heard || upstream.endpoints[session.endpoint].fruitless == 0 ||
         state_->now_ns - session.ready_ns >= longest_ns;
}

void SessionPool::finish_exchanges(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    if (session->replaces == kNone) continue;
    auto& replaced = state_->sessions[session->replaces];
    if (!replaced.is_up()) {
      session->replaces = kNone;  // it has ended by itself: this one is in its place
      session->fails_back = false;
    } else if (session->is_up() && session->fails_back && !is_proven(*session)) {
      const auto longest_ns = upstream.settings->backoff.max_ms * kNanosecondsPerMillisecond;
      call_by(upstream, session->ready_ns + longest_ns);
    } else if (session->is_up()) {
      const char* why = session->fails_back ? "a session to a better endpoint is up" : "its replacement is up";
      if (session->fails_back) upstream.endpoints.was_of_use(session->endpoint);
      session->replaces = kNone;
      session->fails_back = false;
      life_->drain(replaced, why);
    }
  }
}

void SessionPool::rotate(Upstream& upstream) {
  const auto now = count(upstream);
  for (auto* session : upstream.sessions) {
    if (!session->is_up()) continue;
    const auto why = why_retire(upstream, *session);
    // One at a time, and only while all are up.
    if (why.empty() || now.any_draining || now.any_exchange || now.up < upstream.wanted) continue;
    auto* place = free_place(upstream);
    if (now.connections < sessions_max(*upstream.settings) && place != nullptr) {
      place->replaces = session->id.index;
      let_wait(*place);
    } else if (session->tls->is_worn_out() || !upstream.endpoints.all_have_failed()) {
      life_->drain(*session, why);
    }  // else it is all there is, while the endpoints that it should give way to cannot be had
    return;
  }
}

// Empty: it may go on; then the pool looks again when it may not any more.
std::string SessionPool::why_retire(Upstream& upstream, Session& session) {
  const auto& rotation = upstream.settings->rotation;
  if (session.is_outdated) return "the configuration has changed";
  if (session.tls->is_worn_out()) return "its key has protected as many records as it may";
  // Of streams it may serve the last one to its end.
  const bool has_carried_all = rotation.messages_max != 0 && session.requests >= rotation.messages_max;
  if (has_carried_all && !session.is_leased()) return "it has carried messages_max";
  if (rotation.age_max_s != 0) {
    if (session.retire_ns == 0) {
      const auto age_ns = rotation.age_max_s * kNanosecondsPerSecond;
      std::uniform_int_distribution<std::uint64_t> jitter(0, age_ns * kAgeJitterPercent / 100);
      session.retire_ns = session.ready_ns + age_ns - jitter(state_->random);
    }
    if (session.retire_ns <= state_->now_ns) return "it is as old as age_max_s allows";
    call_by(upstream, session.retire_ns);
  }
  if (const auto due_ns = certificate_due_ns(upstream, session); due_ns != 0) {
    if (due_ns <= state_->now_ns) return "the host's certificate expires soon";
    call_by(upstream, due_ns);
  }
  return {};
}

// 0: never.
std::uint64_t SessionPool::certificate_due_ns(const Upstream& upstream, const Session& session) const {
  const auto margin_s = upstream.settings->rotation.certificate_margin_s;
  if (margin_s == 0 || session.facts.certificate_expires_s == 0 || state_->wall_offset_s == 0) return 0;
  const auto due_s = session.facts.certificate_expires_s - margin_s - state_->wall_offset_s;
  const auto retry_ns = std::max(margin_s / kCertificateRetryPart, kCertificateRetrySMin) * kNanosecondsPerSecond;
  const auto due_ns = due_s > 0 ? static_cast<std::uint64_t>(due_s) * kNanosecondsPerSecond : 0;
  return std::max(due_ns, session.ready_ns + retry_ns);
}

// While all serve, one session in excess tries an endpoint that would be better.
void SessionPool::fail_back(Upstream& upstream) {
  if (upstream.endpoints.size() < 2) return;
  const auto now = count(upstream);
  call_by(upstream, upstream.endpoints.next_retry_ns(state_->now_ns));
  if (now.any_draining || now.any_exchange || now.starting > 0 || now.up < upstream.wanted) return;
  count_loads(upstream);
  Session* worst = nullptr;
  std::uint32_t better = 0;
  for (auto* session : upstream.sessions) {
    if (!session->is_up()) continue;
    const auto endpoint = upstream.endpoints.better_than(session->endpoint, state_->now_ns, loads_);
    if (!endpoint) continue;
    const auto priority_of = [&](const Session* one) { return upstream.endpoints[one->endpoint].settings.priority; };
    if (worst != nullptr && priority_of(session) <= priority_of(worst)) continue;
    worst = session;
    better = *endpoint;
  }
  auto* place = free_place(upstream);
  if (worst == nullptr || place == nullptr) return;
  place->replaces = worst->id.index;
  place->fails_back = true;
  life_->start(*place, better);
}

// ---- By command ----

// As many at one time as at the engine's start: handshakes_max.
void SessionPool::begin_anew(Upstream& upstream) {
  upstream.endpoints.forget_failures();
  for (auto* session : upstream.sessions) {
    if (session->state == SessionState::backing_off) session->start_ns = std::min(session->start_ns, state_->now_ns);
  }
}

// One that signs on has been accepted by the host.
void SessionPool::give_up_attempts(Upstream& upstream) {
  for (auto* session : upstream.sessions) {
    if (!session->is_starting() || session->state == SessionState::signing_on) continue;
    life_->close(*session, Reason::upstream_draining, "the configuration has changed");
  }
}

void SessionPool::change(Upstream& upstream, ChangeReach reach) {
  std::vector<bool> used(upstream.endpoints.size());
  for (const auto* session : upstream.sessions) {
    if (has_place(*session)) used[session->endpoint] = true;
  }
  const auto places = upstream.endpoints.change(*upstream.settings, used);
  for (auto* session : upstream.sessions) {
    session->endpoint = has_place(*session) ? places[session->endpoint] : 0;
    if (has_place(*session) && reach == ChangeReach::sessions) session->is_outdated = true;
    // By another age or time-out, perhaps: looked at anew.
    session->retire_ns = 0;
    if (session->in_flight.empty()) continue;
    state_->set_timer(session->silence_ns, std::max<std::uint64_t>(state_->now_ns, 1));
  }
  const auto& settings = *upstream.settings;
  upstream.wanted = std::clamp(upstream.wanted, settings.sessions, sessions_max(settings));
  if (reach >= ChangeReach::next_attempts) begin_anew(upstream);
  if (reach >= ChangeReach::attempts) give_up_attempts(upstream);
  upstream.changed = upstream.pool_changed = true;
  tend();
}

void SessionPool::drain(Upstream& upstream, std::uint32_t drain_ms) {
  upstream.draining = true;
  upstream.is_ending = false;
  upstream.drain_ms = drain_ms;
  upstream.changed = upstream.pool_changed = true;
  tend();
}

void SessionPool::resume(Upstream& upstream) {
  upstream.draining = upstream.is_ending = false;
  upstream.drain_ms = 0;
  upstream.wanted = upstream.settings->sessions;
  upstream.endpoints.forget_failures();
  upstream.changed = upstream.pool_changed = true;
  tend();
}

bool SessionPool::is_drained(const Upstream& upstream) {
  return upstream.draining && upstream.queue.empty() && upstream.lease_queue.empty() &&
         std::ranges::all_of(upstream.sessions, [](const Session* one) { return one->state == SessionState::none; });
}

}  // namespace tlsmux::engine::mux
