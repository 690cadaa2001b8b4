#pragma once

// What streams need of their sockets. engine/io implements it on the shard's io_uring; tests and the simulator on
// nothing. No call blocks or calls back; what comes of it is fed into Streams later.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/mux/ids.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::streams {

class StreamSockets {
 public:
  virtual ~StreamSockets() = default;
  // The stream's end of its socket: connected, and blocking, as io_uring wants it. Nothing of an earlier stream of that
  // index is left.
  virtual void adopt(mux::StreamId stream, shm::UniqueFd socket) = 0;
  // Once: leads to `received`, with no bytes when the process writes no more, or to `failed`.
  virtual void receive(mux::StreamId stream) = 0;
  // One at a time. The bytes stay where they are until `sent`.
  virtual void send(mux::StreamId stream, std::span<const std::byte> bytes) = 0;
  // Once, when the process writes no more: leads to `failed` when it does not read any more either, as far as the kernel
  // knows that without sending (of a UNIX socket: when its last descriptor is closed). EPIPE, unless it left bytes unread.
  virtual void watch_hang_up(mux::StreamId stream) = 0;
  // Leads to `closed`, once all that is under way has come back. `reset`: by RST where the socket is TCP, so that nobody
  // takes the end for an orderly one; not while bytes wait for room on the process's side, which it would throw away.
  virtual void close(mux::StreamId stream, bool reset) = 0;
};

}  // namespace tlsmux::engine::streams
