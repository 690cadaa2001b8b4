#pragma once

// The world of one shard on one thread: hosts that send every message back, workers that are done at once, and real
// eventfds for bells.

#include <sys/epoll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "engine/mux/seams.hpp"
#include "engine/shard/bells.hpp"
#include "engine/shard/shard.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/support/plain_tls.hpp"

namespace tlsmux::test {

class EchoWorld final : public engine::mux::Network,
                        public engine::mux::Workers,
                        public engine::mux::Events,
                        public engine::Bells {
 public:
  explicit EchoWorld(std::size_t sessions);

  // Tells the shard what has happened since the last call. False: nothing has.
  bool tell(engine::Shard& shard);
  // Until a bell rings or the time is over.
  void await_bell(int timeout_ms);

  std::span<std::byte> send_memory(std::uint32_t session_index) override { return connections_[session_index].memory; }
  void connect(engine::mux::SessionId session, const engine::mux::Address& address,
               const engine::mux::ConnectOptions& options) override;
  void send(engine::mux::SessionId session, std::span<const std::byte> bytes) override;
  void close(engine::mux::SessionId session) override;
  void hold(engine::mux::SessionId session) override { connections_[session.index].held = true; }
  void resume(engine::mux::SessionId session) override { connections_[session.index].held = false; }
  void resolve(engine::mux::SessionId session, const std::string& host, std::uint16_t port) override;
  void handshake(engine::mux::SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                 std::vector<std::byte> received) override;
  void event(const engine::mux::Event&) override {}
  void watch(std::uint32_t client_index, int descriptor) override;
  void unwatch(std::uint32_t client_index) override;
  void wake(std::uint32_t channel_ref, int descriptor) override;

 private:
  struct Connection {
    std::vector<std::byte> memory;
    engine::mux::SessionId session;
    std::unique_ptr<PlainTlsHost> host;
    bool connected = false;  // to be told, as are the next ones
    std::size_t sent = 0;
    std::vector<std::byte> to_engine;
    bool held = false;
    bool closed = false;
    std::unique_ptr<engine::tls::TlsSession> stepped;
    std::vector<std::byte> step_output;
    std::expected<engine::tls::HandshakeState, engine::tls::TlsError> step_result;
  };

  bool tell_connection(Connection& connection, engine::mux::Multiplexer& multiplexer);
  bool tell_bells(engine::Shard& shard);

  std::vector<Connection> connections_;
  shm::UniqueFd epoll_;
  std::map<std::uint32_t, int> watched_;
  std::vector<std::uint32_t> rung_;  // clients, to be told, as are the next ones
  std::vector<std::uint32_t> unwatched_;
  std::vector<std::uint32_t> woken_;
};

}  // namespace tlsmux::test
