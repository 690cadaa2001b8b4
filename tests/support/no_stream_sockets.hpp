#pragma once

// For worlds in which nobody opens a stream.

#include "engine/streams/stream_sockets.hpp"
#include "shm/assert.hpp"

namespace tlsmux::test {

class NoStreamSockets final : public engine::streams::StreamSockets {
 public:
  void adopt(engine::mux::StreamId /*stream*/, shm::UniqueFd /*socket*/) override { TMX_ASSERT(false); }
  void receive(engine::mux::StreamId /*stream*/) override { TMX_ASSERT(false); }
  void send(engine::mux::StreamId /*stream*/, std::span<const std::byte> /*bytes*/) override { TMX_ASSERT(false); }
  void watch_hang_up(engine::mux::StreamId /*stream*/) override { TMX_ASSERT(false); }
  void close(engine::mux::StreamId /*stream*/, bool /*reset*/) override { TMX_ASSERT(false); }
};

}  // namespace tlsmux::test
