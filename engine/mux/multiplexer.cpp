#include "engine/mux/multiplexer.hpp"

#include <algorithm>

#include "shm/assert.hpp"
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
  for (std::uint32_t i = 0; i < kSpareSessionPlaces; ++i) {
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

Multiplexer::Multiplexer(const config::Config& config, Seams seams,
                         std::vector<std::unique_ptr<tls::TlsClient>> tls_clients, std::uint64_t seed)
    : groups_(config.groups.size()),
      state_{.seams = seams,
             .requests = RequestTable(config.engine.in_flight_max, prefix_bytes_max(config)),
             .deadlines = DeadlineHeap(state_.requests),
             .upstreams = {},
             .sessions = make_sessions(config, tls_clients),
             .random = std::mt19937_64(seed)},
      settlement_(state_),
      conversation_(state_),
      life_(state_, settlement_, conversation_),
      pool_(state_, life_),
      dispatch_(state_, settlement_, life_),
      host_requests_(state_, settlement_, life_),
      matching_(state_, settlement_, life_, host_requests_, conversation_) {
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    auto settings = std::make_shared<const config::UpstreamSettings>(config.upstreams[i]);
    state_.upstreams.push_back(std::make_unique<Upstream>(std::move(settings), std::move(tls_clients[i]),
                                                          state_.requests, config.groups.size(), state_.random()));
  }
  state_.sessions_given = state_.sessions.size() - kSpareSessionPlaces;
  for (std::size_t i = 0; i < state_.sessions_given; ++i) {
    auto& session = state_.sessions[i];
    state_.upstreams[session.upstream]->sessions.push_back(&session);
  }
}

void Multiplexer::start() { pool_.start(); }

std::optional<shm::Reason> Multiplexer::refusal(const Upstream& upstream, const NewRequest& request) const {
  if (state_.draining) return shm::Reason::engine_draining;
  const bool is_shut_out = request.group < upstream.groups_shut_out.size() && upstream.groups_shut_out[request.group];
  if (upstream.removed || is_shut_out) return shm::Reason::upstream_removed;
  if (upstream.draining) return shm::Reason::upstream_draining;
  if (!life_.is_hopeful(upstream)) {
    const bool known = upstream.last_error_reason != shm::Reason::none;
    return known ? upstream.last_error_reason : shm::Reason::no_session;
  }
  const auto& settings = *upstream.settings;
  const auto& queue = upstream.queue;
  const auto is_full = [](std::size_t size, std::uint32_t limit) { return limit != 0 && size >= limit; };
  if (queue.size() >= settings.queue_max ||
      is_full(queue.size_of_client(request.client), settings.queue_max_of_client) ||
      is_full(queue.size_of_group(request.group), settings.queue_max_of_group)) {
    return shm::Reason::overload;
  }
  return std::nullopt;
}

RequestIndex Multiplexer::submit(const NewRequest& request) {
  auto& upstream = *state_.upstreams[request.upstream];
  const auto reject = [&](shm::Reason reason, const message::CorrelationError& error = {}) {
    settlement_.reject(request.upstream, request.group, request.caller,
                       {.reason = reason, .error_field = error.field, .error_offset = error.offset});
    return kNone;
  };
  if (const auto reason = refusal(upstream, request)) return reject(*reason);
  const auto index = state_.requests.allocate();
  if (index == kNone) return reject(shm::Reason::overload);

  auto& entry = state_.requests[index];
  entry.upstream = request.upstream;
  entry.group = request.group;
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
    state_.requests.release(index);
    return reject(shm::Reason::unparsable);
  }
  if (!upstream.correlation.in_order()) {
    const auto key = upstream.correlation.request_key(prefix, message.size());
    if (key) entry.key = *key;
    if (!key || Conversation::holds_key(upstream, *key) || !upstream.keys.insert(index)) {
      state_.requests.release(index);
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
  for (const auto& upstream : state_.upstreams) consider(upstream->pool_due_ns);
}

void Multiplexer::flush() {
  for (auto& session : state_.sessions) life_.say(session);
  host_requests_.flush();
  for (auto& upstream : state_.upstreams) {
    if (upstream->queue.empty()) continue;
    dispatch_.flush(*upstream);
    if (!upstream->queue.empty()) pool_.grow(*upstream);
  }
  pool_.tend();
}

void Multiplexer::set_groups(std::size_t groups) {
  TMX_ASSERT(groups >= groups_);
  groups_ = groups;
  for (auto& upstream : state_.upstreams) {
    upstream->queue.set_groups(groups);
    upstream->groups_counters.resize(groups);
  }
}

void Multiplexer::add_upstream(std::shared_ptr<const config::UpstreamSettings> settings,
                               std::unique_ptr<tls::TlsClient> tls_client,
                               const std::vector<std::uint16_t>& source_ports) {
  const auto places = tls_client != nullptr ? session_places(*settings) : 0;
  TMX_ASSERT(state_.sessions_given + places <= state_.sessions.size());
  const auto index = static_cast<std::uint32_t>(state_.upstreams.size());
  auto& upstream = *state_.upstreams.emplace_back(std::make_unique<Upstream>(
      std::move(settings), std::move(tls_client), state_.requests, groups_, state_.random()));
  for (std::uint32_t number = 0; number < places; ++number) {
    auto& session = state_.sessions[state_.sessions_given++];
    session.upstream = index;
    session.number = number;
    upstream.sessions.push_back(&session);
  }
  upstream.source_ports.set(source_ports);
  pool_.resume(upstream);
}

void Multiplexer::remove_upstream(std::size_t index) {
  auto& upstream = *state_.upstreams[index];
  upstream.removed = true;
  while (!upstream.queue.empty()) settlement_.refuse(upstream.queue.front(), shm::Reason::upstream_removed);
  pool_.drain(upstream, 0);
}

void Multiplexer::restart_upstream(std::size_t index, std::shared_ptr<const config::UpstreamSettings> settings,
                                   std::unique_ptr<tls::TlsClient> tls_client) {
  auto& upstream = *state_.upstreams[index];
  restarts_ += upstream.next_settings == nullptr ? 1 : 0;
  upstream.next_settings = std::move(settings);
  if (tls_client != nullptr) upstream.next_tls_client = std::move(tls_client);
  if (!upstream.draining) pool_.drain(upstream, 0);
}

// One that was drained by command starts anew as well: who changes its settings wants to use it.
void Multiplexer::finish_restarts() {
  for (std::size_t index = 0; index < state_.upstreams.size() && restarts_ > 0; ++index) {
    auto& upstream = *state_.upstreams[index];
    if (upstream.next_settings == nullptr || !SessionPool::is_drained(upstream)) continue;
    --restarts_;
    upstream.settings = std::exchange(upstream.next_settings, nullptr);
    const auto& settings = *upstream.settings;
    upstream.framing = message::Framing(settings.framing);
    upstream.correlation = message::Correlation(settings.correlation);
    upstream.messages = EngineMessages(settings);
    upstream.keys =
        KeyTable(state_.requests, upstream.correlation.in_order() ? 1 : state_.requests.capacity(), state_.random());
    upstream.is_signed_on = false;
    if (upstream.next_tls_client != nullptr) upstream.tls_client = std::move(upstream.next_tls_client);
    upstream.connect_options = connect_options_of(settings.tcp);
    pool_.change(upstream, false);
    if (!upstream.removed) pool_.resume(upstream);
  }
}

void Multiplexer::change_upstream(std::size_t index, std::shared_ptr<const config::UpstreamSettings> settings,
                                  std::unique_ptr<tls::TlsClient> tls_client, bool replace_sessions) {
  auto& upstream = *state_.upstreams[index];
  if (upstream.next_settings != nullptr) return restart_upstream(index, std::move(settings), std::move(tls_client));
  TMX_ASSERT(session_places(*settings) <= upstream.sessions.size());
  upstream.settings = std::move(settings);
  if (tls_client != nullptr) upstream.tls_client = std::move(tls_client);
  upstream.connect_options = connect_options_of(upstream.settings->tcp);
  pool_.change(upstream, replace_sessions);
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
  return count_open([](const Request& /*request*/) { return true; });
}

std::size_t Multiplexer::requests_left(std::size_t upstream) const {
  return count_open([&](const Request& request) { return request.upstream == upstream; });
}

void Multiplexer::end_upstream(std::size_t index) {
  auto& upstream = *state_.upstreams[index];
  while (!upstream.queue.empty()) settlement_.refuse(upstream.queue.front(), shm::Reason::upstream_draining);
  for (auto* session : upstream.sessions) life_.close(*session, shm::Reason::upstream_draining, "closed by command");
  pool_.tend();
}

void Multiplexer::close_sessions() {
  for (auto& upstream : state_.upstreams) {
    while (!upstream->queue.empty()) settlement_.refuse(upstream->queue.front(), shm::Reason::engine_draining);
  }
  for (auto& session : state_.sessions) {
    // One that is still signing on is not waited for.
    const bool is_idle = session.is_open() && session.was_ready && session.in_flight.empty();
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
