#include "tests/simulation/network.hpp"

#include <algorithm>
#include <cerrno>

#include "config/leases.hpp"
#include "shm/assert.hpp"

namespace tlsmux::simulation {

using engine::mux::SessionId;

namespace {

// So much may lie between two hosts before a write has to wait.
constexpr std::size_t kWindowBytes = 64 * 1024;

}  // namespace

Connection::Connection(Context& context, std::uint64_t number, std::uint32_t upstream, SessionId session,
                       std::uint16_t port)
    : context_(context),
      number_(number),
      is_leased_(config::leases_sessions(context.present(upstream))),
      session_(session),
      port_(port),
      wire_(context, upstream, number),
      host_(make_host(context, upstream, number)),
      hangs_(context.strikes(Fault::connect_hangs)),
      window_(context.strikes(Fault::small_window) ? context.random.between(1, 200) : kWindowBytes) {
  if (is_leased_) context.leases.connected(number, upstream, context.wire_reader());
}

// ---- The engine's calls ----

void Connection::send(std::span<const std::byte> bytes) {
  TMX_ASSERT(stage_ == Stage::up && !sending_ && !sent_ && !bytes.empty());
  wire_.offered(bytes);
  sending_ = bytes;
}

void Connection::close() {
  TMX_ASSERT(stage_ == Stage::connecting || stage_ == Stage::up);
  stage_ = Stage::closing;
}

void Connection::hold() {
  TMX_ASSERT(stage_ == Stage::up && !held_);
  held_ = true;
  context_.note(Seen::host_held_up);
  handed_over_ = context_.random.below(to_engine_.size() + 1);
}

void Connection::resume() {
  TMX_ASSERT(stage_ == Stage::up && held_);
  held_ = false;
}

void Connection::engine_dies() {
  if (sending_) finish_send();
  stage_ = Stage::gone;
}

// ---- News ----

bool Connection::has_news() const {
  switch (stage_) {
    case Stage::connecting: return connected_.has_value();
    case Stage::up: return sent_ || receivable() > 0 || (ended_ && !ended_told_ && !held_);
    case Stage::closing: return sent_ || !sending_;
    case Stage::gone: return false;
  }
  return false;
}

void Connection::tell(engine::mux::Multiplexer& multiplexer) {
  if (stage_ == Stage::connecting) {
    stage_ = Stage::up;
    const auto result = *std::exchange(connected_, std::nullopt);
    return context_.engine_acts([&] { multiplexer.connected(session_, result); });
  }
  // A send's completion and what is received come in any order.
  if (sent_ && (receivable() == 0 || stage_ == Stage::closing || context_.random.below(2) == 0)) {
    const auto result = *std::exchange(sent_, std::nullopt);
    return context_.engine_acts([&] { multiplexer.sent(session_, result); });
  }
  if (stage_ == Stage::closing) {
    stage_ = Stage::gone;
    return context_.engine_acts([&] { multiplexer.closed(session_); });
  }
  if (receivable() > 0) {
    const auto count = piece(receivable());
    if (held_) handed_over_ -= count;
    std::vector<std::byte> bytes(to_engine_.begin(), to_engine_.begin() + static_cast<std::ptrdiff_t>(count));
    to_engine_.erase(to_engine_.begin(), to_engine_.begin() + static_cast<std::ptrdiff_t>(count));
    if (is_leased_) context_.leases.told(number_, bytes);
    return context_.engine_acts([&] { multiplexer.received(session_, bytes); });
  }
  ended_told_ = true;
  context_.trace("connection " + std::to_string(number_) + " ends with " + std::to_string(*ended_));
  context_.engine_acts([&] { multiplexer.ended(session_, *ended_); });
}

// ---- The world ----

std::size_t Connection::piece(std::size_t total) {
  return context_.strikes(Fault::partial_io) ? context_.random.piece(total) : total;
}

// As no checksum of the network's would notice.
void Connection::spoil(std::span<std::byte> bytes) {
  if (!context_.strikes(Fault::record_spoilt)) return;
  bytes[context_.random.below(bytes.size())] ^= std::byte(1U << context_.random.below(8));
  context_.trace("a bit on connection " + std::to_string(number_) + " is spoilt");
  host_->note_spoilt();
}

bool Connection::step() {
  if (stage_ == Stage::connecting) return step_connect();
  if (step_reset()) return true;
  if (vanished_ || context_.strikes(Fault::half_open)) return step_vanished();
  using Step = bool (Connection::*)();
  constexpr Step kSteps[] = {&Connection::step_send, &Connection::step_deliver, &Connection::step_carry};
  const auto first = context_.random.below(4);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto which = (first + i) % 4;
    if (which == 3 ? host_->act() : (this->*kSteps[which])()) return true;
  }
  return false;
}

bool Connection::step_connect() {
  if (connected_ || hangs_) return false;
  connected_ = 0;
  if (is_endpoint_gone()) {
    connected_ = ECONNREFUSED;
  } else if (context_.strikes(Fault::connect_refused)) {
    constexpr int kErrors[] = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH};
    connected_ = context_.random.pick(kErrors);
  }
  return true;
}

bool Connection::step_reset() {
  if (reset_ || (!is_endpoint_gone() && !context_.strikes(Fault::reset))) return false;
  context_.trace("connection " + std::to_string(number_) + " is reset");
  break_off(ECONNRESET);
  if (context_.random.below(2) == 0) {
    to_engine_.clear();
    handed_over_ = 0;
  }
  return true;
}

void Connection::break_off(int error) {
  reset_ = true;
  to_host_.clear();  // accepted by the kernel, and lost all the same
  if (!ended_) ended_ = error;
}

// What is written fills the kernel's memory. One that is started anew knows nothing of the connection, and says so when
// something comes; else keep-alives, or what is not acknowledged, run out of time.
bool Connection::step_vanished() {
  if (!std::exchange(vanished_, true)) {
    context_.trace("the peer of connection " + std::to_string(number_) + " is gone without a word");
    return true;
  }
  if (step_send()) return true;
  if (reset_) return false;
  const bool is_answered = !to_host_.empty() && context_.random.below(50) == 0;
  if (!is_answered && !context_.faults.none() && context_.random.below(500) != 0) return false;
  context_.note(is_answered ? Seen::vanished_reset : Seen::vanished_timeout);
  break_off(is_answered ? ECONNRESET : ETIMEDOUT);
  return true;
}

bool Connection::step_send() {
  if (!sending_) return false;
  if (reset_ || stage_ == Stage::closing) {
    finish_send();
    return true;
  }
  // Where all is well, no request may run out of time because its host takes a few bytes at a time.
  const auto window = context_.faults.none() ? kWindowBytes : window_;
  if (to_host_.size() >= window) return false;
  const auto count = piece(std::min(sending_->size(), window - to_host_.size()));
  accept(count);
  sent_ = static_cast<std::int64_t>(count);
  return true;
}

void Connection::accept(std::size_t count) {
  const auto bytes = sending_->first(count);
  to_host_.insert(to_host_.end(), bytes.begin(), bytes.end());
  sending_.reset();
  wire_.accepted(count);
  if (vanished_) context_.note(Seen::vanished_bytes);
}

// It will not go on: the kernel says how far it came, or that it did not come anywhere.
void Connection::finish_send() {
  const auto came = reset_ || context_.random.below(2) == 0 ? 0 : piece(sending_->size());
  if (came == 0) {
    sending_.reset();
    sent_ = reset_ ? -EPIPE : -ECANCELED;
  } else {
    accept(came);
    sent_ = static_cast<std::int64_t>(came);
  }
}

bool Connection::step_deliver() {
  if (to_host_.empty() || reset_ || vanished_ || !host_->is_reading()) return false;
  const auto count = piece(to_host_.size());
  std::vector<std::byte> bytes(to_host_.begin(), to_host_.begin() + static_cast<std::ptrdiff_t>(count));
  to_host_.erase(to_host_.begin(), to_host_.begin() + static_cast<std::ptrdiff_t>(count));
  spoil(bytes);
  host_->receive(bytes);
  return true;
}

bool Connection::step_carry() {
  auto& output = host_->output();
  if (!output.empty() && !reset_) {
    if (to_engine_.size() >= kWindowBytes) return false;
    const auto count = piece(std::min(output.size(), kWindowBytes - to_engine_.size()));
    to_engine_.insert(to_engine_.end(), output.begin(), output.begin() + static_cast<std::ptrdiff_t>(count));
    output.erase(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(count));
    spoil(std::span(to_engine_).last(count));
    return true;
  }
  if (!host_->is_ended() || ended_) return false;
  ended_ = 0;
  return true;
}

bool Connection::is_over() const {
  return stage_ == Stage::gone && (to_host_.empty() || reset_ || !host_->is_reading());
}

// ---- All of them ----

std::shared_ptr<Connection> Network::connect(SessionId session, std::uint32_t upstream, std::uint16_t port) {
  std::erase_if(connections_, [](const auto& connection) { return connection->is_over(); });
  connections_.push_back(std::make_shared<Connection>(context_, ++last_number_, upstream, session, port));
  context_.trace("connection " + std::to_string(last_number_) + " to upstream " + std::to_string(upstream));
  return connections_.back();
}

bool Network::step() {
  if (connections_.empty()) return false;
  const auto first = context_.random.below(connections_.size());
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (connections_[(first + i) % connections_.size()]->step()) return true;
  }
  return false;
}

EngineNetwork::EngineNetwork(Context& context, simulation::Network& network) : context_(context), network_(network) {
  for (std::uint32_t upstream = 0; upstream < context.config.upstreams.size(); ++upstream) {
    for (std::uint32_t i = 0; i < engine::mux::session_places(context.upstream(upstream)); ++i) {
      auto& session = sessions_.emplace_back();
      session.upstream = upstream;
      session.send_memory.resize(engine::mux::send_memory_bytes(context.upstream(upstream)));
    }
  }
}

void EngineNetwork::die() {
  for (auto& session : sessions_) {
    if (session.connection != nullptr) session.connection->engine_dies();
  }
}

std::span<std::byte> EngineNetwork::send_memory(std::uint32_t session_index) {
  return sessions_[session_index].send_memory;
}

Connection& EngineNetwork::connection_of(SessionId session) {
  auto& connection = sessions_[session.index].connection;
  TMX_ASSERT(connection != nullptr && connection->session() == session);
  return *connection;
}

void EngineNetwork::connect(SessionId session, const engine::mux::Address& address,
                            const engine::mux::ConnectOptions& /*options*/) {
  const auto memory = context_.engine_calls_world();
  auto& own = sessions_[session.index];
  TMX_ASSERT(own.connection == nullptr);
  own.connection = network_.connect(session, own.upstream, address.port);
}

void EngineNetwork::send(SessionId session, std::span<const std::byte> bytes) {
  const auto memory = context_.engine_calls_world();
  connection_of(session).send(bytes);
}

void EngineNetwork::close(SessionId session) {
  const auto memory = context_.engine_calls_world();
  connection_of(session).close();
}

void EngineNetwork::hold(SessionId session) {
  const auto memory = context_.engine_calls_world();
  connection_of(session).hold();
}

void EngineNetwork::resume(SessionId session) {
  const auto memory = context_.engine_calls_world();
  connection_of(session).resume();
}

bool EngineNetwork::has_news() const {
  return std::ranges::any_of(sessions_, [](const Session& session) {
    return session.connection != nullptr && session.connection->has_news();
  });
}

bool EngineNetwork::tell(engine::mux::Multiplexer& multiplexer) {
  bool any = false;
  const auto first = context_.random.below(sessions_.size());
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    auto& session = sessions_[(first + i) % sessions_.size()];
    while (session.connection != nullptr && session.connection->has_news()) {
      if (!context_.faults.none() && context_.random.below(3) == 0) break;
      any = true;
      // Kept alive while it speaks: its last news makes room for the session's next connection.
      const auto connection = session.connection;
      if (connection->is_about_to_go()) session.connection.reset();
      connection->tell(multiplexer);
    }
  }
  return any;
}

}  // namespace tlsmux::simulation
