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
  for (const auto& upstream : config.upstreams) {
    bytes = std::max(bytes, message::Correlation(upstream.correlation).prefix_bytes());
  }
  return bytes;
}

std::vector<Session> make_sessions(const config::Config& config) {
  std::vector<Session> sessions;
  for (std::uint32_t upstream = 0; upstream < config.upstreams.size(); ++upstream) {
    for (std::uint32_t number = 0; number < config.upstreams[upstream].sessions; ++number) {
      auto& session = sessions.emplace_back();
      session.id.index = static_cast<std::uint32_t>(sessions.size() - 1);
      session.upstream = upstream;
      session.number = number;
      session.endpoint = number;
    }
  }
  return sessions;
}

}  // namespace

std::size_t send_memory_bytes(const config::UpstreamSettings& settings) {
  const std::size_t message = settings.framing.message_bytes_max + config::kLengthHeaderBytesMax;
  const auto records = message / (config::kTlsPlaintextBytesMax / 2) + 2;
  return std::max(kSendMemoryBytesMin, shm::round_up(message + records * kRecordOverheadBytesMax, shm::kPageBytes));
}

Multiplexer::Multiplexer(const config::Config& config, Seams seams,
                         std::vector<std::unique_ptr<tls::TlsClient>> tls_clients, std::uint64_t seed)
    : state_{.seams = seams,
             .requests = RequestTable(config.engine.in_flight_max, prefix_bytes_max(config)),
             .deadlines = DeadlineHeap(state_.requests),
             .upstreams = {},
             .sessions = make_sessions(config),
             .random = std::mt19937_64(seed)},
      settlement_(state_),
      life_(state_, settlement_),
      dispatch_(state_, settlement_, life_),
      matching_(state_, settlement_, life_) {
  TMX_ASSERT(tls_clients.size() == config.upstreams.size());
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    auto settings = std::make_shared<const config::UpstreamSettings>(config.upstreams[i]);
    state_.upstreams.push_back(std::make_unique<Upstream>(std::move(settings), std::move(tls_clients[i]),
                                                          state_.requests, config.groups.size(), state_.random()));
  }
  for (auto& session : state_.sessions) state_.upstreams[session.upstream]->sessions.push_back(&session);
}

void Multiplexer::start() {
  for (auto& session : state_.sessions) life_.start(session);
}

RequestIndex Multiplexer::submit(const NewRequest& request) {
  auto& upstream = *state_.upstreams[request.upstream];
  const auto reject = [&](shm::Reason reason) {
    settlement_.reject(request.upstream, request.group, request.caller, reason);
    return kNone;
  };
  if (state_.draining) return reject(shm::Reason::engine_draining);
  if (!life_.is_hopeful(upstream)) {
    const bool known = upstream.last_error_reason != shm::Reason::none;
    return reject(known ? upstream.last_error_reason : shm::Reason::no_session);
  }
  if (upstream.queue.size() >= upstream.settings->queue_max) return reject(shm::Reason::overload);
  const auto index = state_.requests.allocate();
  if (index == kNone) return reject(shm::Reason::overload);

  auto& entry = state_.requests[index];
  entry.upstream = request.upstream;
  entry.group = request.group;
  entry.caller = request.caller;
  entry.length = request.length;
  entry.intake_ns = state_.now_ns;
  const auto timeout_ms = request.timeout_ms != 0 ? std::min(request.timeout_ms, config::kTimeoutMsMax)
                                                  : upstream.settings->timeouts.request_ms;
  entry.deadline_ns = state_.now_ns + timeout_ms * kNanosecondsPerMillisecond;
  entry.state = RequestState::queued;

  if (!upstream.correlation.in_order()) {
    // Copied once, then both judged and sealed from the copy: the caller can change its own slot at any moment.
    const auto message = state_.seams.callers.message(request.caller, request.length);
    entry.prefix_bytes = static_cast<std::uint32_t>(std::min(message.size(), upstream.correlation.prefix_bytes()));
    const auto prefix = state_.requests.prefix(index).first(entry.prefix_bytes);
    shm::copy_bytes(prefix, message.first(entry.prefix_bytes));
    const auto key = upstream.correlation.request_key(prefix);
    if (key) entry.key = *key;
    if (!key || !upstream.keys.insert(index)) {
      state_.requests.release(index);
      return reject(key ? shm::Reason::duplicate_key : shm::Reason::unparsable);
    }
  }
  upstream.queue.push_back(state_.requests, index);
  upstream.changed = true;
  state_.deadlines.insert(index);
  return index;
}

void Multiplexer::received(SessionId id, std::span<const std::byte> bytes) {
  auto* session = state_.find(id);
  if (session == nullptr || session->closing) return;
  if (session->state == shm::SessionState::handshaking) {
    life_.receive_handshake(*session, bytes);
  } else if (session->is_up()) {
    matching_.receive(*session, bytes);
  }
}

void Multiplexer::handshake_stepped(SessionId id, std::unique_ptr<tls::TlsSession> tls,
                                    std::span<const std::byte> output,
                                    const std::expected<tls::HandshakeState, tls::TlsError>& result) {
  life_.handshake_stepped(id, std::move(tls), output, result);
  auto* session = state_.find(id);
  if (session == nullptr || !session->is_up()) return;
  // What came behind the handshake, with the worker's step or during it.
  matching_.receive(*session, std::exchange(session->handshake_received, {}));
  if (session->is_up() && session->host_ended) life_.ended(id, 0);
}

void Multiplexer::tick() {
  for (auto index = state_.deadlines.earliest(); index != kNone; index = state_.deadlines.earliest()) {
    if (state_.requests[index].deadline_ns > state_.now_ns) break;
    expire(index);
  }
  if (state_.next_timer_ns != 0 && state_.next_timer_ns <= state_.now_ns) fire_session_timers();
}

void Multiplexer::expire(RequestIndex index) {
  const auto& request = state_.requests[index];
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

void Multiplexer::fire_session_timers() {
  state_.next_timer_ns = 0;
  for (auto& session : state_.sessions) {
    if (session.timer_ns != 0 && session.timer_ns <= state_.now_ns) life_.timer_expired(session);
  }
  for (const auto& session : state_.sessions) {
    if (session.timer_ns == 0) continue;
    if (state_.next_timer_ns == 0 || session.timer_ns < state_.next_timer_ns) state_.next_timer_ns = session.timer_ns;
  }
}

void Multiplexer::flush() {
  for (auto& upstream : state_.upstreams) {
    if (!upstream->queue.empty()) dispatch_.flush(*upstream);
  }
}

std::uint64_t Multiplexer::next_due_ns() const {
  const auto index = state_.deadlines.earliest();
  if (index == kNone) return state_.next_timer_ns;
  const auto deadline_ns = state_.requests[index].deadline_ns;
  return state_.next_timer_ns == 0 ? deadline_ns : std::min(deadline_ns, state_.next_timer_ns);
}

void Multiplexer::drain() { state_.draining = true; }

std::size_t Multiplexer::requests_left() const {
  std::size_t left = 0;
  for (std::size_t i = 0; i < state_.requests.capacity(); ++i) {
    const auto state = state_.requests[static_cast<RequestIndex>(i)].state;
    left += state != RequestState::free && state != RequestState::abandoned ? 1 : 0;
  }
  return left;
}

void Multiplexer::close_sessions() {
  for (auto& upstream : state_.upstreams) {
    while (!upstream->queue.empty()) settlement_.refuse(upstream->queue.front(), shm::Reason::engine_draining);
  }
  for (auto& session : state_.sessions) life_.close(session);
}

bool Multiplexer::is_closed() const {
  return std::ranges::all_of(state_.sessions,
                             [](const Session& session) { return session.state == shm::SessionState::none; });
}

}  // namespace tlsmux::engine::mux
