#pragma once

// The sockets of streams, moved by hand. Each call checks what its seam promises: one receive and one send at a time, and
// nothing after close.

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "engine/streams/stream_sockets.hpp"

namespace tlsmux::test {

class FakeStreamSockets final : public engine::streams::StreamSockets {
 public:
  struct Socket {
    engine::mux::StreamId id;
    bool receiving = false;
    std::optional<std::span<const std::byte>> sending;
    bool hang_up_watched = false;
    bool closing = false;
    bool is_reset = false;
  };

  void adopt(engine::mux::StreamId stream, shm::UniqueFd /*socket*/) override {
    REQUIRE_FALSE(sockets.contains(stream.index));
    sockets[stream.index].id = stream;
    last = stream;
  }
  void receive(engine::mux::StreamId stream) override {
    auto& socket = open_socket(stream);
    REQUIRE_FALSE(socket.receiving);
    socket.receiving = true;
  }
  void send(engine::mux::StreamId stream, std::span<const std::byte> bytes) override {
    auto& socket = open_socket(stream);
    REQUIRE_FALSE(socket.sending.has_value());
    REQUIRE_FALSE(bytes.empty());
    socket.sending = bytes;
  }
  void watch_hang_up(engine::mux::StreamId stream) override {
    auto& socket = open_socket(stream);
    REQUIRE_FALSE(socket.hang_up_watched);
    socket.hang_up_watched = true;
  }
  void close(engine::mux::StreamId stream, bool reset) override {
    auto& socket = open_socket(stream);
    socket.closing = true;
    socket.is_reset = reset;
  }

  Socket& open_socket(engine::mux::StreamId stream) {
    auto& socket = sockets.at(stream.index);
    REQUIRE(socket.id == stream);
    REQUIRE_FALSE(socket.closing);
    return socket;
  }

  std::map<std::uint32_t, Socket> sockets;  // by index
  engine::mux::StreamId last;               // that was adopted
};

}  // namespace tlsmux::test
