#include "tests/engine/echo_world.hpp"

#include <unistd.h>

#include <array>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::test {

using engine::mux::SessionId;

EchoWorld::EchoWorld(std::size_t sessions) : connections_(sessions), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  for (auto& connection : connections_) connection.memory.resize(64 * 1024);
}

void EchoWorld::connect(SessionId session, const engine::mux::Address&, const engine::mux::ConnectOptions&) {
  auto& connection = connections_[session.index];
  connection.session = session;
  connection.host = std::make_unique<PlainTlsHost>();
  connection.connected = true;
  connection.held = false;
}

void EchoWorld::send(SessionId session, std::span<const std::byte> bytes) {
  auto& connection = connections_[session.index];
  connection.sent = bytes.size();
  std::vector<std::byte> plaintext;
  TMX_ASSERT(connection.host->receive(bytes, plaintext, connection.to_engine) == PlainTlsHost::State::open);
  if (!plaintext.empty()) PlainTlsHost::seal(plaintext, connection.to_engine);  // frames and all
}

void EchoWorld::close(SessionId session) { connections_[session.index].closed = true; }

void EchoWorld::resolve(SessionId, const std::string&, std::uint16_t) { TMX_ASSERT(!"literals only"); }

void EchoWorld::handshake(SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                          std::vector<std::byte> received) {
  auto& connection = connections_[session.index];
  connection.step_result = tls->handshake(received, connection.step_output);
  connection.stepped = std::move(tls);
}

void EchoWorld::watch(std::uint32_t client_index, int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // the count is never read
  event.data.u32 = client_index;
  TMX_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0);
  watched_[client_index] = descriptor;
}

void EchoWorld::unwatch(std::uint32_t client_index) {
  TMX_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched_.at(client_index), nullptr) == 0);
  watched_.erase(client_index);
  unwatched_.push_back(client_index);
}

void EchoWorld::wake(std::uint32_t channel_ref, int descriptor) {
  const std::uint64_t one = 1;
  TMX_ASSERT(::write(descriptor, &one, sizeof one) == sizeof one);
  woken_.push_back(channel_ref);
}

void EchoWorld::await_bell(int timeout_ms) {
  epoll_event event{};
  ::epoll_wait(epoll_.get(), &event, 1, timeout_ms);
  if (event.events != 0) rung_.push_back(event.data.u32);
}

bool EchoWorld::tell_connection(Connection& connection, engine::mux::Multiplexer& multiplexer) {
  bool any = false;
  const auto session = connection.session;
  if (std::exchange(connection.connected, false)) {
    multiplexer.connected(session, 0);
    any = true;
  }
  if (connection.stepped != nullptr) {
    multiplexer.handshake_stepped(session, std::move(connection.stepped), std::exchange(connection.step_output, {}),
                                  connection.step_result);
    any = true;
  }
  if (const auto sent = std::exchange(connection.sent, 0); sent > 0) {
    multiplexer.sent(session, static_cast<std::int64_t>(sent));
    any = true;
  }
  if (std::exchange(connection.closed, false)) {
    multiplexer.closed(session);
    return true;
  }
  if (!connection.held && !connection.to_engine.empty()) {
    auto bytes = std::exchange(connection.to_engine, {});
    multiplexer.received(session, bytes);
    any = true;
  }
  return any;
}

bool EchoWorld::tell_bells(engine::Shard& shard) {
  bool any = false;
  std::array<epoll_event, 16> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) rung_.push_back(events[static_cast<std::size_t>(i)].data.u32);
  for (const auto client : std::exchange(rung_, {})) {
    shard.rung(client);
    any = true;
  }
  for (const auto client : std::exchange(unwatched_, {})) {
    shard.unwatched(client);
    any = true;
  }
  for (const auto channel : std::exchange(woken_, {})) {
    shard.woken(channel);
    any = true;
  }
  return any;
}

bool EchoWorld::tell(engine::Shard& shard) {
  bool any = tell_bells(shard);
  for (auto& connection : connections_) any = tell_connection(connection, shard.multiplexer()) || any;
  return any;
}

}  // namespace tlsmux::test
