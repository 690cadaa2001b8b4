#pragma once

// Connections between engines and hosts, as two kernels and the net between them carry bytes: in pieces, late, in part,
// or not at all. What the kernel has accepted from an engine that dies or closes still travels on.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/mux/multiplexer.hpp"
#include "tests/simulation/context.hpp"
#include "tests/simulation/host.hpp"
#include "tests/simulation/wire_log.hpp"

namespace tlsmux::simulation {

class Connection {
 public:
  Connection(Context& context, std::uint64_t number, std::uint32_t upstream, engine::mux::SessionId session,
             std::uint16_t port);

  // ---- The engine's calls.
  void send(std::span<const std::byte> bytes);
  void close();
  void hold();
  void resume();
  // Its process is gone, and with it the memory of a send under way.
  void engine_dies();

  // ---- News for the engine.
  [[nodiscard]] bool has_news() const;
  // Requires has_news(). Tells one thing, whichever comes first.
  void tell(engine::mux::Multiplexer& multiplexer);
  // What it tells next is that it is closed: the last of it.
  [[nodiscard]] bool is_about_to_go() const { return stage_ == Stage::closing && !sending_ && !sent_; }

  // ---- The world.
  // One thing that kernels, network or host do. False: there is nothing to do.
  bool step();
  // Nothing more can come of it.
  [[nodiscard]] bool is_over() const;

  [[nodiscard]] engine::mux::SessionId session() const { return session_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] bool is_held() const { return held_; }

 private:
  enum class Stage : std::uint8_t { connecting, up, closing, gone };  // for the engine

  bool step_connect();
  bool step_send();
  bool step_deliver();
  bool step_carry();
  bool step_reset();
  bool step_vanished();
  void break_off(int error);
  void accept(std::size_t count);
  void finish_send();
  [[nodiscard]] bool is_endpoint_gone() const { return context_.ports_down.contains(port_); }
  std::size_t piece(std::size_t total);
  void spoil(std::span<std::byte> bytes);
  // Of to_engine_, what may be told now.
  [[nodiscard]] std::size_t receivable() const { return held_ ? handed_over_ : to_engine_.size(); }

  Context& context_;
  std::uint64_t number_;
  bool is_leased_;
  engine::mux::SessionId session_;
  std::uint16_t port_;
  WireLog wire_;
  std::unique_ptr<HostSide> host_;
  Stage stage_ = Stage::connecting;
  bool hangs_ = false;
  std::size_t window_;
  bool reset_ = false;
  bool vanished_ = false;  // the peer and its kernel, without a word
  bool held_ = false;
  std::size_t handed_over_ = 0;  // of to_engine_, by the kernel, before it was held

  std::optional<std::span<const std::byte>> sending_;
  std::vector<std::byte> to_host_;
  std::vector<std::byte> to_engine_;
  std::optional<int> connected_;  // to be told, as are the next ones
  std::optional<std::int64_t> sent_;
  std::optional<int> ended_;
  bool ended_told_ = false;
};

// All connections there are.
class Network {
 public:
  explicit Network(Context& context) : context_(context) {}

  std::shared_ptr<Connection> connect(engine::mux::SessionId session, std::uint32_t upstream, std::uint16_t port);
  // One step of some connection. False: none has anything to do.
  bool step();

 private:
  Context& context_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::uint64_t last_number_ = 0;
};

// One engine's access to them.
class EngineNetwork final : public engine::mux::Network {
 public:
  EngineNetwork(Context& context, simulation::Network& network);

  std::span<std::byte> send_memory(std::uint32_t session_index) override;
  void connect(engine::mux::SessionId session, const engine::mux::Address& address,
               const engine::mux::ConnectOptions& options) override;
  void send(engine::mux::SessionId session, std::span<const std::byte> bytes) override;
  void close(engine::mux::SessionId session) override;
  void hold(engine::mux::SessionId session) override;
  void resume(engine::mux::SessionId session) override;

  // Null: it has none just now.
  [[nodiscard]] const Connection* connection(std::uint32_t session_index) const {
    return sessions_[session_index].connection.get();
  }

  [[nodiscard]] bool is_any_open() const {
    return std::ranges::any_of(sessions_, [](const Session& session) { return session.connection != nullptr; });
  }

  // The engine's process ends, and with it its side of all connections.
  void die();

  [[nodiscard]] bool has_news() const;
  // Tells some of the news there are. False: there were none.
  bool tell(engine::mux::Multiplexer& multiplexer);

 private:
  struct Session {
    std::uint32_t upstream = 0;
    std::vector<std::byte> send_memory;
    std::shared_ptr<Connection> connection;
  };

  Connection& connection_of(engine::mux::SessionId session);

  Context& context_;
  simulation::Network& network_;
  std::vector<Session> sessions_;
};

}  // namespace tlsmux::simulation
