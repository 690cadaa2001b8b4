#pragma once

// The engine's ends of its streams' sockets, behind its own seam: bytes come and go in pieces, in any order.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "engine/streams/streams.hpp"
#include "tests/simulation/context.hpp"
#include "tests/simulation/stream_pipe.hpp"

namespace tlsmux::simulation {

class StreamSockets final : public engine::streams::StreamSockets {
 public:
  explicit StreamSockets(Context& context) : context_(context) {}

  // The socket with this descriptor is that pipe's end, when the engine adopts it.
  void announce(int descriptor, std::shared_ptr<StreamPipe> pipe) { announced_[descriptor] = std::move(pipe); }

  void adopt(engine::mux::StreamId stream, shm::UniqueFd socket) override;
  void receive(engine::mux::StreamId stream) override;
  void send(engine::mux::StreamId stream, std::span<const std::byte> bytes) override;
  void watch_hang_up(engine::mux::StreamId stream) override;
  void close(engine::mux::StreamId stream, bool reset) override;

  // The engine stops: it may close a socket before its last record has been read.
  void stop() { is_stopping_ = true; }
  // The engine's process ends.
  void die();

  [[nodiscard]] bool has_news() const;
  // Tells some of the news there are. False: there were none.
  bool tell(engine::streams::Streams& streams);

  // The ledger's number of a stream whose socket is not closed; 0: it is.
  [[nodiscard]] std::uint64_t number_of(engine::mux::StreamId stream) const;
  // Bytes are with the kernel, which has no room for them.
  [[nodiscard]] bool is_sending(engine::mux::StreamId stream) const {
    return sockets_.at(stream.index).sending.has_value();
  }
  [[nodiscard]] std::size_t size() const { return sockets_.size(); }

 private:
  struct Socket {
    engine::mux::StreamId id;
    std::shared_ptr<StreamPipe> pipe;
    bool receiving = false;
    std::optional<std::span<const std::byte>> sending;
    bool hang_up_watched = false;
    bool closing = false;
  };

  Socket& open_socket(engine::mux::StreamId stream);
  static bool can_receive(const Socket& socket);
  static bool can_send(const Socket& socket);
  static bool is_hung_up(const Socket& socket);
  static bool has_news(const Socket& socket);
  void tell_one(Socket& socket, engine::streams::Streams& streams);
  void tell_received(Socket& socket, engine::streams::Streams& streams);
  void tell_took(Socket& socket, engine::streams::Streams& streams);
  std::int64_t take(Socket& socket, std::span<const std::byte> bytes);
  std::size_t piece(std::size_t total);

  Context& context_;
  bool is_stopping_ = false;
  std::map<int, std::shared_ptr<StreamPipe>> announced_;
  std::map<std::uint32_t, Socket> sockets_;  // by index
};

}  // namespace tlsmux::simulation
