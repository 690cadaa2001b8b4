#include "engine/mux/settlement.hpp"

#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"
#include "shm/latency_histogram.hpp"

namespace tlsmux::engine::mux {
namespace {

bool is_waiting(const Request& request) {
  return request.state == RequestState::queued || request.state == RequestState::requeued;
}

std::size_t counter_of(shm::Reason reason) { return static_cast<std::size_t>(reason); }

}  // namespace

GroupCounters& Settlement::counters(const Request& request) {
  auto& upstream = *state_->upstreams[request.upstream];
  upstream.changed = true;
  return upstream.groups_counters[request.group];
}

void Settlement::leave_lists(RequestIndex index) {
  auto& request = state_->requests[index];
  auto& upstream = *state_->upstreams[request.upstream];
  if (request.heap_position != kNone) state_->deadlines.remove(index);
  if (request.kind == RequestKind::reply) {
    auto& session = state_->sessions[request.session];
    if (is_waiting(request)) --state_->replies_waiting;
    (is_waiting(request) ? session.replies : session.replies_in_flight).remove(state_->requests, index);
  } else if (is_waiting(request)) {
    upstream.queue.remove(state_->requests, index);
  } else {
    state_->sessions[request.session].in_flight.remove(state_->requests, index);
    --upstream.in_flight;
    upstream.changed = true;  // also when what is given up has been counted long since
  }
}

void Settlement::release(RequestIndex index) {
  leave_lists(index);
  const auto& request = state_->requests[index];
  auto& upstream = *state_->upstreams[request.upstream];
  const bool has_key = request.kind == RequestKind::request && !upstream.correlation.in_order();
  if (has_key && !TMX_HAS_BUG(keep_key)) upstream.keys.remove(index);
  state_->free_place(index);
}

// The caller has decided by itself.
void Settlement::count_callers_own(const Request& request, bool is_maybe_sent) {
  auto& count = counters(request);
  auto& by_reason = is_maybe_sent ? count.maybe_sent : count.not_sent;
  ++by_reason[counter_of(state_->seams.callers.own_reason(request.caller))];
}

void Settlement::answer(RequestIndex index, std::span<const std::byte> message) {
  auto& request = state_->requests[index];
  auto& count = counters(request);
  if (request.state == RequestState::in_flight && state_->seams.callers.answer(request.caller, message)) {
    if (TMX_HAS_BUG(answer_twice)) state_->seams.callers.answer(request.caller, message);
    ++count.answered;
    ++count.latency[shm::bucket_of(state_->now_ns - request.intake_ns)];
  } else {
    if (request.state == RequestState::in_flight) count_callers_own(request, true);
    ++count.late;
    state_->seams.notices.late(request.caller, request.upstream, request.group, message);
  }
  release(index);
}

void Settlement::refuse(RequestIndex index, shm::Reason reason) {
  auto& request = state_->requests[index];
  if (is_orphan(request.caller)) reason = shm::Reason::client_died;  // whatever the occasion
  if (state_->seams.callers.refuse(request.caller, {.reason = reason})) {
    ++counters(request).not_sent[counter_of(reason)];
  } else {
    // A caller that finds its request taken must say MAYBE_SENT when it ends it by itself.
    count_callers_own(request, request.state != RequestState::queued);
  }
  release(index);
}

void Settlement::reject(std::uint32_t upstream, std::uint32_t group, const Caller& caller, const Refusal& refusal) {
  auto& target = *state_->upstreams[upstream];
  target.changed = true;
  const bool ours = state_->seams.callers.refuse(caller, refusal);
  const auto reason = ours ? refusal.reason : state_->seams.callers.own_reason(caller);
  ++target.groups_counters[group].not_sent[counter_of(reason)];
}

void Settlement::lose(RequestIndex index, shm::Reason reason) {
  const bool is_forgotten = TMX_HAS_BUG(forget_settlement) && index % 3 == 0;
  if (state_->requests[index].state == RequestState::in_flight && !is_forgotten) tell_lost(index, reason);
  release(index);
}

void Settlement::give_up(RequestIndex index, shm::Reason reason) {
  TMX_ASSERT(state_->requests[index].state == RequestState::in_flight);
  tell_lost(index, reason);
  keep_for_late_answer(index);
}

void Settlement::tell_lost(RequestIndex index, shm::Reason reason) {
  auto& request = state_->requests[index];
  if (!state_->seams.callers.lose(request.caller, reason)) return count_callers_own(request, true);
  ++counters(request).maybe_sent[counter_of(reason)];
}

void Settlement::forget(RequestIndex index) {
  count_callers_own(state_->requests[index], false);
  release(index);
}

void Settlement::abandon(RequestIndex index, shm::Reason reason) {
  auto& request = state_->requests[index];
  if (is_waiting(request)) {
    ++counters(request).not_sent[counter_of(reason)];
    release(index);
  } else if (request.state == RequestState::in_flight) {
    ++counters(request).maybe_sent[counter_of(reason)];
    if (request.kind == RequestKind::reply) return release(index);
    keep_for_late_answer(index);
  }
}

void Settlement::orphan(RequestIndex index, const Caller& keeper) {
  auto& request = state_->requests[index];
  TMX_ASSERT(request.kind == RequestKind::request);
  request.caller = keeper;
  if (is_waiting(request)) refuse(index, shm::Reason::client_died);
}

void Settlement::confirm_replies(Session& session) {
  for (auto index = session.replies_in_flight.front(); index != kNone; index = session.replies_in_flight.front()) {
    if (state_->requests[index].wire_end > session.wire.accepted_position()) return;
    lose(index, shm::Reason::reply_sent);
  }
}

void Settlement::end_replies(Session& session) {
  confirm_replies(session);
  for (auto index = session.replies_in_flight.front(); index != kNone; index = session.replies_in_flight.front()) {
    if (state_->requests[index].wire_position < session.wire.accepted_position()) {
      lose(index, session.end_reason);
    } else {
      refuse(index, session.end_reason);
    }
  }
  while (!session.replies.empty()) refuse(session.replies.front(), session.end_reason);
}

void Settlement::keep_for_late_answer(RequestIndex index) {
  auto& request = state_->requests[index];
  if (request.heap_position != kNone) state_->deadlines.remove(index);
  request.state = RequestState::abandoned;
  const auto& timeouts = state_->upstreams[request.upstream]->settings->timeouts;
  const auto late_answer_ms = TMX_HAS_BUG(free_key_early) ? 0 : timeouts.late_answer_ms;
  request.deadline_ns = state_->now_ns + late_answer_ms * kNanosecondsPerMillisecond;
  state_->deadlines.insert(index);
}

}  // namespace tlsmux::engine::mux
