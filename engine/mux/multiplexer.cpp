#include "engine/mux/multiplexer.hpp"

#include <algorithm>

#include "config/leases.hpp"
#include "config/made_upstreams.hpp"
#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::engine::mux {
namespace {

constexpr std::size_t kSendMemoryBytesMin = 64 * 1024;
constexpr std::size_t kRecordOverheadBytesMax = 256;  // RFC 8446 section 5.2: at most 255 and the header

std::size_t prefix_bytes_max(const config::Config& config) {
  std::size_t bytes = 0;
  for (const auto& upstream : config.upstreams) bytes = std::max(bytes, prefix_bytes(upstream));
  return bytes;
}

std::vector<Session> make_sessions(const config::Config& config,
                                   const std::vector<std::unique_ptr<tls::TlsClient>>& tls_clients) {
  TMX_ASSERT(tls_clients.size() == config.upstreams.size());
  std::vector<Session> sessions;
  for (std::uint32_t upstream = 0; upstream < config.upstreams.size(); ++upstream) {
    if (tls_clients[upstream] == nullptr) continue;
    for (std::uint32_t number = 0; number < session_places(config.upstreams[upstream]); ++number) {
      auto& session = sessions.emplace_back();
      session.id.index = static_cast<std::uint32_t>(sessions.size() - 1);
      session.upstream = upstream;
      session.number = number;
    }
  }
  for (std::uint32_t i = 0; i < spare_session_places(config); ++i) {
    auto& session = sessions.emplace_back();
    session.id.index = static_cast<std::uint32_t>(sessions.size() - 1);
  }
  return sessions;
}

}  // namespace

ConnectOptions connect_options_of(const config::TcpSettings& settings) {
  return {.source = parse_literal(settings.source_address, 0),
          .keepalive_idle_s = settings.keepalive_idle_s,
          .keepalive_interval_s = settings.keepalive_interval_s,
          .keepalive_count = settings.keepalive_count,
          .user_timeout_ms = settings.user_timeout_ms};
}

std::size_t prefix_bytes(const config::UpstreamSettings& settings) {
  const message::Framing framing(settings.framing);
  const auto bytes = message::Correlation(settings.correlation).prefix_bytes();
  return framing.must_search_messages() ? std::max(bytes, framing.message_bytes_max()) : bytes;
}

std::size_t send_memory_bytes(const config::UpstreamSettings& settings) {
  const std::size_t message =
      settings.framing.message_bytes_max + config::kFrameHeaderBytesMax + config::kFrameTrailerBytesMax;
  const auto records = message / (config::kTlsPlaintextBytesMax / 2) + 2;
  return std::max(kSendMemoryBytesMin, shm::round_up(message + records * kRecordOverheadBytesMax, shm::kPageBytes));
}

std::size_t spare_send_memory_bytes(const config::Config& config) {
  auto bytes = kSpareSendMemoryBytes;
  for (const auto& rule : config.ssl_wrapper.rules) {
    const auto* const model = rule.create ? config::model_of(config, rule) : nullptr;
    if (model != nullptr) bytes = std::max(bytes, send_memory_bytes(*model));
  }
  return bytes;
}

std::uint32_t spare_session_places(const config::Config& config) {
  const auto room = config::room_for_made(config);
  return kSpareSessionPlaces + config::share_of_made(room, config.engine.shards) * room.session_places;
}

Multiplexer::Multiplexer(const config::Config& config, Seams seams,
                         std::vector<std::unique_ptr<tls::TlsClient>> tls_clients, std::uint64_t seed)
    : groups_(config.groups.size()),
      state_{.seams = seams,
             .requests = RequestTable(config.engine.in_flight_max, prefix_bytes_max(config)),
             .shares = GroupShares(config.engine.in_flight_max, config.groups.size()),
             .deadlines = DeadlineHeap(state_.requests),
             .upstreams = {},
             .sessions = make_sessions(config, tls_clients),
             .random = std::mt19937_64(seed)},
      settlement_(state_),
      conversation_(state_),
      life_(state_, settlement_, conversation_, leases_),
      leases_(state_, life_),
      pool_(state_, life_),
      dispatch_(state_, settlement_, life_),
      host_requests_(state_, settlement_, life_),
      matching_(state_, settlement_, life_, host_requests_, conversation_, leases_) {
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    auto settings = std::make_shared<const config::UpstreamSettings>(config.upstreams[i]);
    state_.upstreams.push_back(std::make_unique<Upstream>(std::move(settings), std::move(tls_clients[i]),
                                                          state_.requests, config.groups.size(), state_.random()));
  }
  state_.sessions_given = state_.sessions.size() - spare_session_places(config);
  for (std::size_t i = 0; i < state_.sessions_given; ++i) {
    auto& session = state_.sessions[i];
    state_.upstreams[session.upstream]->sessions.push_back(&session);
  }
}

void Multiplexer::start() { pool_.start(); }

std::optional<shm::Reason> Multiplexer::why_in_vain(std::size_t index, std::uint32_t group) const {
  const auto& upstream = *state_.upstreams[index];
  if (state_.draining) return shm::Reason::engine_draining;
  if (upstream.removed || upstream.is_shut_out(group)) return shm::Reason::upstream_removed;
  if (upstream.draining) return shm::Reason::upstream_draining;
  if (!life_.is_hopeful(upstream)) {
    const bool known = upstream.last_error_reason != shm::Reason::none;
    return known ? upstream.last_error_reason : shm::Reason::no_session;
  }
  return std::nullopt;
}

std::optional<shm::Reason> Multiplexer::refusal(const Upstream& upstream, const NewRequest& request) const {
  if (const auto reason = why_in_vain(request.upstream, request.group)) return reason;
  // Channels to it may have been opened before its configuration was changed.
  if (config::leases_sessions(*upstream.settings)) return shm::Reason::upstream_removed;
  if (!has_room(request.upstream, request.group, request.client)) return shm::Reason::overload;
  return std::nullopt;
}

bool Multiplexer::has_room(std::size_t index, std::uint32_t group, std::uint32_t client) const {
  const auto& upstream = *state_.upstreams[index];
  const auto& settings = *upstream.settings;
  const auto& queue = upstream.queue;
  const auto has = [](std::size_t size, std::uint32_t limit) { return limit == 0 || size < limit; };
  const auto queue_max = settings.queue_max + (TMX_HAS_BUG(exceed_queue) ? 1U : 0U);
  return state_.shares.may_take(group) && queue.size() < queue_max &&
         has(queue.size_of_client(client), settings.queue_max_of_client) &&
         has(queue.size_of_group(group), settings.queue_max_of_group);
}

RequestIndex Multiplexer::submit(const NewRequest& request) {
  auto& upstream = *state_.upstreams[request.upstream];
  const auto reject = [&](shm::Reason reason, const message::CorrelationError& error = {}) {
    settlement_.reject(request.upstream, request.group, request.caller,
                       {.reason = reason, .error_field = error.field, .error_offset = error.offset});
    return kNone;
  };
  if (const auto reason = refusal(upstream, request)) return reject(*reason);
  const auto index = state_.take_place(request.group);
  TMX_ASSERT(index != kNone);

  auto& entry = state_.requests[index];
  entry.upstream = request.upstream;
  entry.client = request.client;
  entry.caller = request.caller;
  entry.length = request.length;
  entry.intake_ns = state_.now_ns;
  const auto timeout_ms = request.timeout_ms != 0 ? std::min(request.timeout_ms, config::kTimeoutMsMax)
                                                  : upstream.settings->timeouts.request_ms;
  entry.deadline_ns = state_.now_ns + timeout_ms * kNanosecondsPerMillisecond;
  entry.state = RequestState::queued;

  const bool is_searched = upstream.framing.must_search_messages();
  const auto judged_bytes = is_searched ? request.length : upstream.correlation.prefix_bytes();
  // Copied once, then both judged and sealed from the copy: the caller can change its own slot at any moment.
  const auto message = state_.seams.callers.message(request.caller, request.length);
  entry.prefix_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(message.size(), judged_bytes));
  const auto prefix = state_.requests.prefix(index).first(entry.prefix_bytes);
  shm::copy_bytes(prefix, message.first(entry.prefix_bytes));
  if (is_searched && !upstream.framing.may_be_sent(prefix)) {
    state_.free_place(index);
    return reject(shm::Reason::unparsable);
  }
  if (!upstream.correlation.in_order()) {
    const auto key = upstream.correlation.request_key(prefix, message.size());
    if (key) entry.key = *key;
    if (!key || Conversation::holds_key(upstream, *key) || !upstream.keys.insert(index)) {
      state_.free_place(index);
      return key ? reject(shm::Reason::duplicate_key) : reject(shm::Reason::unparsable, key.error());
    }
  }
  upstream.queue.push(state_.requests, index);
  upstream.changed = true;
  state_.deadlines.insert(index);
  return index;
}

std::vector<std::byte> Multiplexer::copy_of(RequestIndex index) {
  const auto& request = state_.requests[index];
  const auto message = state_.seams.callers.message(request.caller, request.length);
  std::vector<std::byte> copy(message.begin(), message.end());
  shm::copy_bytes(copy, state_.requests.prefix(index).first(request.prefix_bytes));
  return copy;
}

void Multiplexer::sent(SessionId id, std::int64_t result) {
  life_.sent(id, result);
  if (auto* session = state_.find(id)) settlement_.confirm_replies(*session);
}

void Multiplexer::received(SessionId id, std::span<std::byte> bytes) {
  auto* session = state_.find(id);
  if (session == nullptr || session->closing) return;
  session->quiet_since_ns = state_.now_ns;
  if (session->state == shm::SessionState::handshaking) {
    life_.receive_handshake(*session, bytes);
  } else if (session->is_open()) {
    matching_.receive(*session, bytes);
  }
}

void Multiplexer::handshake_stepped(SessionId id, std::unique_ptr<tls::TlsSession> tls,
                                    std::span<const std::byte> output,
                                    const std::expected<tls::HandshakeState, tls::TlsError>& result) {
  life_.handshake_stepped(id, std::move(tls), output, result);
  auto* session = state_.find(id);
  if (session != nullptr && session->is_open()) {
    // What came behind the handshake, with the worker's step or during it.
    auto behind = std::exchange(session->handshake_received, {});
    matching_.receive(*session, behind);
    if (session->is_open() && session->host_ended) life_.ended(id, 0);
  }
  pool_.tend();
}

void Multiplexer::tick() {
  for (auto index = state_.deadlines.earliest(); index != kNone; index = state_.deadlines.earliest()) {
    if (state_.requests[index].deadline_ns > state_.now_ns) break;
    expire(index);
  }
  if (state_.next_timer_ns != 0 && state_.next_timer_ns <= state_.now_ns) fire_timers();
  pool_.tend();
  if (restarts_ > 0) finish_restarts();
}

void Multiplexer::expire(RequestIndex index) {
  const auto& request = state_.requests[index];
  if (request.kind == RequestKind::reply) return host_requests_.expire(index);
  switch (request.state) {
    case RequestState::queued:
    case RequestState::requeued: return settlement_.refuse(index, shm::Reason::deadline);
    case RequestState::in_flight: return settlement_.give_up(index, shm::Reason::deadline);
    case RequestState::abandoned: break;
    case RequestState::free: TMX_ASSERT(false);
  }
  if (state_.upstreams[request.upstream]->correlation.in_order()) {
    // Without its place in the order no later answer could be told from it.
    auto& session = state_.sessions[request.session];
    state_.deadlines.remove(index);
    life_.fail(session, shm::Reason::stream_corrupt, "the host did not answer in late_answer_ms");
  } else {
    settlement_.lose(index, shm::Reason::deadline);
  }
}

void Multiplexer::fire_timers() {
  for (auto& session : state_.sessions) life_.fire_timers(session);
  for (auto& upstream : state_.upstreams) leases_.serve(*upstream);
  pool_.tend();
  state_.next_timer_ns = 0;
  const auto consider = [&](std::uint64_t timer_ns) {
    if (timer_ns == 0) return;
    if (state_.next_timer_ns == 0 || timer_ns < state_.next_timer_ns) state_.next_timer_ns = timer_ns;
  };
  for (const auto& session : state_.sessions) {
    for (const auto timer_ns : {session.timer_ns, session.stall_ns, session.silence_ns, session.talk_ns})
      consider(timer_ns);
  }
  for (const auto& upstream : state_.upstreams) {
    consider(upstream->pool_due_ns);
    consider(upstream->lease_due_ns);
  }
}

void Multiplexer::flush() {
  for (auto& session : state_.sessions) life_.say(session);
  host_requests_.flush();
  for (auto& upstream : state_.upstreams) {
    if (!upstream->lease_queue.empty()) leases_.serve(*upstream);
    if (upstream->queue.empty()) continue;
    dispatch_.flush(*upstream);
    if (!upstream->queue.empty()) pool_.grow(*upstream);
  }
  pool_.tend();
}

std::uint64_t Multiplexer::next_due_ns() const {
  const auto index = state_.deadlines.earliest();
  if (index == kNone) return state_.next_timer_ns;
  const auto deadline_ns = state_.requests[index].deadline_ns;
  return state_.next_timer_ns == 0 ? deadline_ns : std::min(deadline_ns, state_.next_timer_ns);
}

void Multiplexer::drain() { state_.draining = true; }

template <typename Counts>
std::size_t Multiplexer::count_open(Counts counts) const {
  std::size_t open = 0;
  for (std::size_t i = 0; i < state_.requests.capacity(); ++i) {
    const auto& request = state_.requests[static_cast<RequestIndex>(i)];
    const bool is_open = request.state != RequestState::free && request.state != RequestState::abandoned;
    open += is_open && counts(request) ? 1 : 0;
  }
  return open;
}

std::size_t Multiplexer::requests_left() const {
  auto left = count_open([](const Request& /*request*/) { return true; });
  for (const auto& upstream : state_.upstreams) left += Leases::count(*upstream);
  return left;
}

std::size_t Multiplexer::requests_left(std::size_t upstream) const {
  return count_open([&](const Request& request) { return request.upstream == upstream; }) +
         Leases::count(*state_.upstreams[upstream]);
}

void Multiplexer::end_upstream(std::size_t index) {
  auto& upstream = *state_.upstreams[index];
  upstream.is_ending = true;  // until it drains anew, or is resumed: what a session's end gives back ends as well
  while (!upstream.queue.empty()) settlement_.refuse(upstream.queue.front(), shm::Reason::upstream_draining);
  leases_.refuse_waiting(upstream, shm::Reason::upstream_draining);
  for (auto* session : upstream.sessions) life_.close(*session, shm::Reason::upstream_draining, "closed by command");
  pool_.tend();
}

void Multiplexer::close_sessions() {
  for (auto& upstream : state_.upstreams) {
    while (!upstream->queue.empty()) settlement_.refuse(upstream->queue.front(), shm::Reason::engine_draining);
    leases_.refuse_waiting(*upstream, shm::Reason::engine_draining);
  }
  for (auto& session : state_.sessions) {
    // One that is still signing on is not waited for.
    const bool is_idle = session.is_open() && session.was_ready && session.in_flight.empty() && !session.is_leased();
    if (is_idle && !state_.upstream_of(session).messages.sign_off().empty()) {
      if (session.is_up()) life_.drain(session, "closed by the engine");
    } else {
      life_.close(session, shm::Reason::engine_draining, "closed by the engine");
    }
  }
  pool_.tend();
}

std::uint64_t Multiplexer::sign_off_ns() const {
  std::uint64_t longest_ms = 0;
  for (const auto& upstream : state_.upstreams) {
    const auto messages = upstream->messages.sign_off().size();
    longest_ms = std::max<std::uint64_t>(longest_ms, messages * upstream->settings->timeouts.sign_on_ms);
  }
  return longest_ms * kNanosecondsPerMillisecond;
}

bool Multiplexer::is_closed() const {
  return std::ranges::all_of(state_.sessions,
                             [](const Session& session) { return session.state == shm::SessionState::none; });
}

}  // namespace tlsmux::engine::mux
