#include "engine/mux/dispatch.hpp"

#include <algorithm>
#include <optional>

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {
namespace {

constexpr std::size_t kBatchRequestsMax = 1024;
// So many that wait at one time go to one session before the next is looked for: a record and a send for each request
// would cost more than the request itself, and more sessions would make it worse.
constexpr std::size_t kTogetherMax = 8;
constexpr std::size_t kPartsPerRequest = 4;  // header, private copy, the rest in the slot, trailer
constexpr std::uint64_t kNotSealed = ~0ULL;

// With primary_standby, the one whose sessions take the requests: the best that has one that is up.
std::optional<std::uint32_t> priority_in_use(const Upstream& upstream) {
  if (upstream.settings->session_choice != config::SessionChoice::primary_standby) return std::nullopt;
  std::optional<std::uint32_t> best;
  for (const auto* session : upstream.sessions) {
    const auto priority = upstream.endpoints[session->endpoint].settings.priority;
    if (session->is_up() && (!best || priority < *best)) best = priority;
  }
  return best;
}

}  // namespace

Dispatch::Dispatch(MuxState& state, Settlement& settlement, SessionLife& life)
    : state_(&state), settlement_(&settlement), life_(&life), batches_(state.sessions.size()) {
  for (auto& batch : batches_) batch.requests.reserve(kBatchRequestsMax);
  headers_.resize(kBatchRequestsMax);
  parts_.reserve(kBatchRequestsMax * kPartsPerRequest);
}

void Dispatch::flush(Upstream& upstream) {
  Session* session = nullptr;
  while (!upstream.queue.empty()) {
    const auto index = upstream.queue.front();
    if (!takes_another(session, state_->requests[index])) session = choose(upstream, state_->requests[index]);
    if (session == nullptr) break;
    if (!take(upstream, index)) continue;
    auto& request = state_->requests[index];
    request.state = RequestState::in_flight;
    request.session = session->id.index;
    request.wire_position = kNotSealed;
    if (session->in_flight.empty()) watch_for_silence(*session);
    session->in_flight.push_back(state_->requests, index);
    ++upstream.in_flight;
    upstream.changed = true;
    session->request_ns = state_->now_ns;
    if (++session->requests == upstream.settings->rotation.messages_max) upstream.pool_changed = true;
    auto& batch = batches_[session->id.index];
    batch.requests.push_back(index);
    batch.plaintext_bytes += upstream.framing.overhead_bytes() + request.length;
  }
  for (auto* each : upstream.sessions) {
    if (!batches_[each->id.index].requests.empty()) seal(*each);
  }
}

// The host could be silent from here on.
void Dispatch::watch_for_silence(Session& session) {
  const auto silence_ms = state_->upstream_of(session).settings->timeouts.silence_ms;
  session.quiet_since_ns = state_->now_ns;
  if (silence_ms != 0 && session.silence_ns == 0) state_->set_timer_in_ms(session.silence_ns, silence_ms);
}

// Whether the session that took the last request is to take this one, too.
bool Dispatch::takes_another(const Session* session, const Request& request) const {
  if (session == nullptr) return false;
  const auto& settings = *state_->upstreams[session->upstream]->settings;
  if (settings.session_choice == config::SessionChoice::round_robin) return false;
  const auto together = batches_[session->id.index].requests.size();
  return together % kTogetherMax != 0 && session->in_flight.size() < settings.in_flight_max &&
         has_room(*session, request);
}

Session* Dispatch::choose(Upstream& upstream, const Request& request) {
  const auto& settings = *upstream.settings;
  const bool in_turn = settings.session_choice == config::SessionChoice::round_robin;
  const auto priority = priority_in_use(upstream);
  const auto count = upstream.sessions.size();
  Session* best = nullptr;
  Session* best_extra = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    auto& session = *upstream.sessions[(upstream.next_session + i) % count];
    if (!session.is_up() || (priority && upstream.endpoints[session.endpoint].settings.priority != *priority)) continue;
    if (session.in_flight.size() >= settings.in_flight_max || !has_room(session, request)) continue;
    auto*& place = session.is_extra ? best_extra : best;
    if (place == nullptr || (!in_turn && session.in_flight.size() < place->in_flight.size())) place = &session;
  }
  const bool needs_extra = best == nullptr || is_busy(*best, settings);
  if (needs_extra && best_extra != nullptr &&
      (best == nullptr || best_extra->in_flight.size() < best->in_flight.size())) {
    best = best_extra;
  }
  if (best != nullptr) upstream.next_session = (best->number + 1) % static_cast<std::uint32_t>(count);
  return best;
}

bool Dispatch::has_room(const Session& session, const Request& request) const {
  const auto& batch = batches_[session.id.index];
  if (batch.requests.size() == kBatchRequestsMax) return false;
  const auto& framing = state_->upstreams[session.upstream]->framing;
  const auto plaintext = batch.plaintext_bytes + framing.overhead_bytes() + request.length;
  const auto records = plaintext / session.tls->record_bytes_max() + 1;
  return plaintext + records * session.tls->record_overhead_bytes() <= session.wire.room();
}

// False: the request has ended instead.
bool Dispatch::take(Upstream& upstream, RequestIndex index) {
  auto& request = state_->requests[index];
  auto& callers = state_->seams.callers;
  if (request.state == RequestState::queued) {
    if (!callers.take(request.caller)) {
      settlement_->forget(index);
      return false;
    }
  } else if (!callers.still_wanted(request.caller)) {
    settlement_->refuse(index, shm::Reason::cancelled);
    return false;
  }
  upstream.queue.take(state_->requests, index);
  return true;
}

void Dispatch::seal(Session& session) {
  auto& batch = batches_[session.id.index];
  const auto& framing = state_->upstream_of(session).framing;
  bool good = true;
  for (std::size_t i = 0; i < batch.requests.size() && good; ++i) {
    const auto index = batch.requests[i];
    auto& request = state_->requests[index];
    const auto header = std::span(headers_[i]).first(framing.header_bytes());
    framing.write_header(header, request.length);
    if (record_bytes_ == session.tls->record_bytes_max()) good = seal_record(session);
    request.wire_position = session.record_position();
    const auto message = state_->seams.callers.message(request.caller, request.length);
    good = good && add(session, header) && add(session, state_->requests.prefix(index).first(request.prefix_bytes)) &&
           add(session, message.subspan(request.prefix_bytes)) && add(session, framing.trailer());
  }
  if (good && record_bytes_ > 0) seal_record(session);
  batch.requests.clear();
  batch.plaintext_bytes = 0;
  parts_.clear();
  record_bytes_ = 0;
  if (session.is_up()) life_->send_sealed(session);
}

bool Dispatch::add(Session& session, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = session.tls->record_bytes_max() - record_bytes_;
    if (room == 0) {
      if (!seal_record(session)) return false;
      continue;
    }
    const auto piece = bytes.first(std::min(room, bytes.size()));
    parts_.push_back(piece);
    record_bytes_ += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

// False: the session is lost.
bool Dispatch::seal_record(Session& session) {
  const auto sealed = session.tls->seal(parts_, session.wire);
  parts_.clear();
  record_bytes_ = 0;
  if (!sealed) {
    life_->fail(session, sealed.error().reason, sealed.error().words);
  } else if (session.tls->is_worn_out()) {
    state_->upstream_of(session).pool_changed = true;
  }
  return sealed.has_value();
}

}  // namespace tlsmux::engine::mux
