#pragma once

// The sockets of streams on a shard's io_uring. They are plain descriptors, unlike those of sessions: streams come and go
// with processes, and a registered socket may stay open for a second after it was taken out of the table (Linux 6.1), while
// nobody may wait for the end of a stream.

#include <cstdint>
#include <span>
#include <vector>

#include "engine/io/completion.hpp"
#include "engine/io/ring.hpp"
#include "engine/mux/ids.hpp"
#include "engine/streams/stream_sockets.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::io {

class IoEvents;

class StreamPlaces {
 public:
  // Both outlive it.
  StreamPlaces(Ring& ring, ReceiveBuffers& buffers) : ring_(&ring), buffers_(&buffers) {}

  // As in streams::StreamSockets.
  void adopt(mux::StreamId stream, shm::UniqueFd socket);
  void receive(mux::StreamId stream);
  void send(mux::StreamId stream, std::span<const std::byte> bytes);
  void watch_hang_up(mux::StreamId stream);
  void close(mux::StreamId stream, bool reset);

  // Of a kind that is_stream().
  void complete(const Completion& completion, IoEvents& events);

 private:
  // Used again only after `stream_closed`, when nothing of it is under way any more.
  struct Place {
    mux::StreamId stream;
    shm::UniqueFd socket;
    std::uint32_t under_way = 0;  // entries whose completion is still to come
    bool closing = false;
  };

  Place& place_of(mux::StreamId stream);
  void start_entry(io_uring_sqe* entry, Place& place, Kind kind);
  void receive(Place& place);
  void watch_hang_up(Place& place);
  void complete_receive(Place& place, const Completion& completion, IoEvents& events);
  void complete_hang_up(Place& place, const Completion& completion, IoEvents& events);
  void close_further(Place& place);

  Ring* ring_;
  ReceiveBuffers* buffers_;
  std::vector<Place> places_;
};

}  // namespace tlsmux::engine::io
