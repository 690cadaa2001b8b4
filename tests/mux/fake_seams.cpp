#include "tests/mux/fake_seams.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

namespace tlsmux::test {

using engine::mux::Caller;
using engine::mux::SessionId;

std::vector<std::byte> to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string to_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

FakeNetwork::FakeNetwork(std::size_t sessions, std::size_t send_memory_bytes) : connections_(sessions) {
  for (auto& connection : connections_) connection.memory.resize(send_memory_bytes);
}

std::span<std::byte> FakeNetwork::send_memory(std::uint32_t session_index) {
  return connections_[session_index].memory;
}

void FakeNetwork::connect(SessionId session, const engine::mux::Address& address,
                          const engine::mux::ConnectOptions& options) {
  auto& connection = connections_[session.index];
  REQUIRE(connection.stage == Stage::none);
  connection.id = session;
  connection.address = address;
  connection.options = options;
  connection.stage = Stage::connecting;
  connection.sends = 0;
  connection.held = false;
  connection.wire.clear();
  dialled_.push_back(address.text());
}

void FakeNetwork::send(SessionId session, std::span<const std::byte> bytes) {
  auto& connection = connections_[session.index];
  REQUIRE(connection.id == session);
  REQUIRE(connection.stage == Stage::up);
  REQUIRE_FALSE(connection.sending.has_value());
  REQUIRE(!bytes.empty());
  REQUIRE(bytes.data() >= connection.memory.data());
  REQUIRE(bytes.data() + bytes.size() <= connection.memory.data() + connection.memory.size());
  connection.sending = bytes;
  ++connection.sends;
}

void FakeNetwork::close(SessionId session) {
  auto& connection = connections_[session.index];
  REQUIRE(connection.id == session);
  REQUIRE(connection.stage != Stage::none);
  REQUIRE(connection.stage != Stage::closing);
  connection.stage = Stage::closing;
}

void FakeNetwork::hold(SessionId session) {
  auto& connection = connections_[session.index];
  REQUIRE(connection.id == session);
  REQUIRE(connection.stage == Stage::up);
  REQUIRE_FALSE(connection.held);
  connection.held = true;
}

void FakeNetwork::resume(SessionId session) {
  auto& connection = connections_[session.index];
  REQUIRE(connection.id == session);
  REQUIRE(connection.stage == Stage::up);
  REQUIRE(connection.held);
  connection.held = false;
}

void FakeWorkers::resolve(SessionId session, const std::string& host, std::uint16_t port) {
  lookups.push_back({session, host, port});
}

void FakeWorkers::handshake(SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                            std::vector<std::byte> received) {
  REQUIRE(tls != nullptr);
  steps.push_back({session, std::move(tls), std::move(received)});
}

Caller FakeCallers::ask(std::vector<std::byte> message) {
  requests_.push_back({.message = std::move(message), .state = State::queued, .answer = {}});
  return {.tag = requests_.size() - 1};
}

bool FakeCallers::withdraw(std::uint64_t tag, shm::Reason reason) {
  if (requests_[tag].state != State::queued) return false;
  requests_[tag].state = State::withdrawn;
  requests_[tag].own_reason = reason;
  return true;
}

bool FakeCallers::expire(std::uint64_t tag, shm::Reason reason) {
  if (requests_[tag].state != State::sending) return false;
  requests_[tag].state = State::expired;
  requests_[tag].own_reason = reason;
  return true;
}

FakeCallers::Request& FakeCallers::open_request(const Caller& caller) {
  REQUIRE_FALSE(dead_);
  auto& request = requests_[caller.tag];
  REQUIRE_FALSE(request.returned);
  return request;
}

bool FakeCallers::end_orphan(const Caller& caller, const std::string& outcome) {
  REQUIRE_FALSE(orphans.contains(caller.generation));
  orphans[caller.generation] = outcome;
  return true;
}

bool FakeCallers::take(const Caller& caller) {
  REQUIRE_FALSE(is_orphan(caller));
  auto& request = open_request(caller);
  if (request.state == State::queued) {
    request.state = State::sending;
    return true;
  }
  REQUIRE(request.state == State::withdrawn);
  request.returned = true;
  return false;
}

bool FakeCallers::still_wanted(const Caller& caller) {
  return !is_orphan(caller) && open_request(caller).state == State::sending;
}

std::span<const std::byte> FakeCallers::message(const Caller& caller, std::uint32_t length) {
  auto& request = open_request(caller);
  REQUIRE(length == request.message.size());
  return request.message;
}

bool FakeCallers::answer(const Caller& caller, std::span<const std::byte> message) {
  if (is_orphan(caller)) return end_orphan(caller, "answered " + to_text(message));
  auto& request = open_request(caller);
  request.returned = true;
  if (request.state == State::expired) return false;
  REQUIRE(request.state == State::sending);
  request.state = State::answered;
  request.answer = to_text(message);
  return true;
}

bool FakeCallers::refuse(const Caller& caller, const engine::mux::Refusal& refusal) {
  if (is_orphan(caller)) return end_orphan(caller, "not_sent " + std::string(shm::reason_name(refusal.reason)));
  auto& request = open_request(caller);
  request.returned = true;
  if (request.state == State::withdrawn || request.state == State::expired) return false;
  REQUIRE((request.state == State::queued || request.state == State::sending));
  request.state = State::refused;
  request.reason = refusal.reason;
  request.error_field = refusal.error_field;
  request.error_offset = refusal.error_offset;
  return true;
}

bool FakeCallers::lose(const Caller& caller, shm::Reason reason) {
  if (is_orphan(caller)) return end_orphan(caller, "maybe_sent " + std::string(shm::reason_name(reason)));
  auto& request = open_request(caller);
  request.returned = true;
  if (request.state == State::expired) return false;
  REQUIRE(request.state == State::sending);
  request.state = State::lost;
  request.reason = reason;
  return true;
}

shm::Reason FakeCallers::own_reason(const Caller& caller) {
  REQUIRE_FALSE(is_orphan(caller));
  REQUIRE_FALSE(dead_);
  const auto& request = requests_[caller.tag];
  REQUIRE(request.returned);
  REQUIRE((request.state == State::withdrawn || request.state == State::expired));
  return request.own_reason;
}

std::string FakeCallers::outcome(std::uint64_t tag) const {
  const auto& request = requests_[tag];
  const std::string reason(shm::reason_name(request.reason));
  const std::string open = request.returned ? "" : " open";
  switch (request.state) {
    case State::queued:
    case State::sending: return "open";
    case State::withdrawn: return "withdrawn" + open;
    case State::expired: return "expired" + open;
    case State::answered: return "answered " + request.answer;
    case State::refused: return "not_sent " + reason;
    case State::lost: return "maybe_sent " + reason;
  }
  return "impossible";
}

void FakeNotices::late(const Caller& caller, std::uint32_t upstream, std::uint32_t group,
                       std::span<const std::byte> message) {
  late_ones.push_back({caller, upstream, group, to_text(message)});
}

void FakeNotices::unsolicited(std::uint32_t upstream, std::uint64_t notice, std::span<const std::byte> message) {
  unsolicited_ones.push_back({upstream, notice, to_text(message)});
}

engine::mux::StreamId FakeLeaseHolders::add() {
  const engine::mux::StreamId id{.index = static_cast<std::uint32_t>(streams_.size()), .generation = 1};
  streams_.push_back({.id = id, .received = {}, .words = {}});
  return id;
}

FakeLeaseHolders::Stream& FakeLeaseHolders::open_stream(engine::mux::StreamId stream) {
  auto& open = streams_.at(stream.index);
  REQUIRE(open.id == stream);
  REQUIRE(open.granted);
  REQUIRE_FALSE(open.over);
  return open;
}

void FakeLeaseHolders::lease_granted(engine::mux::StreamId stream, const engine::tls::PeerFacts& facts) {
  auto& granted = streams_.at(stream.index);
  REQUIRE(granted.id == stream);
  REQUIRE_FALSE(granted.granted);
  REQUIRE_FALSE(granted.over);
  REQUIRE_FALSE(facts.version.empty());
  granted.granted = true;
}

void FakeLeaseHolders::lease_refused(engine::mux::StreamId stream, shm::Reason reason, std::string_view words) {
  auto& refused = streams_.at(stream.index);
  REQUIRE_FALSE(refused.granted);
  REQUIRE_FALSE(refused.over);
  REQUIRE_FALSE(words.empty());
  refused.over = true;
  refused.reason = reason;
  refused.words = words;
}

void FakeLeaseHolders::host_sent(engine::mux::StreamId stream, std::span<const std::byte> bytes) {
  auto& open = open_stream(stream);
  REQUIRE_FALSE(open.host_finished);
  open.received += to_text(bytes);
}

void FakeLeaseHolders::lease_has_room(engine::mux::StreamId stream) { ++open_stream(stream).rooms; }

void FakeLeaseHolders::host_finished(engine::mux::StreamId stream) {
  auto& open = open_stream(stream);
  REQUIRE_FALSE(open.host_finished);
  open.host_finished = true;
}

void FakeLeaseHolders::lease_lost(engine::mux::StreamId stream, shm::Reason reason, std::string_view words,
                                  bool maybe_sent) {
  auto& lost = open_stream(stream);
  lost.over = true;
  lost.reason = reason;
  lost.words = words;
  lost.maybe_sent = maybe_sent;
}

std::string FakeLeaseHolders::state(engine::mux::StreamId stream) const {
  const auto& one = streams_.at(stream.index);
  if (!one.over) return one.granted ? "open" : "waits";
  const auto* how = one.maybe_sent ? "maybe_sent " : one.granted ? "lost " : "refused ";
  return how + std::string(shm::reason_name(one.reason));
}

void FakeEvents::event(const engine::mux::Event& event) {
  entries.push_back({.kind = event.kind,
                     .session = event.session,
                     .address = std::string(event.address),
                     .reason = event.reason,
                     .words = std::string(event.words),
                     .maybe_sent = event.maybe_sent,
                     .retry_in_ms = event.retry_in_ms,
                     .group = std::string(event.group)});
}

std::size_t FakeEvents::count(engine::mux::EventKind kind) const {
  return static_cast<std::size_t>(std::ranges::count(entries, kind, &Entry::kind));
}

}  // namespace tlsmux::test
