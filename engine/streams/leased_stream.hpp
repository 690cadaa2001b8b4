#pragma once

// One leased stream: what its process writes goes to its session, and what the host sends to its output. STREAMS.md.

#include <cstddef>
#include <span>
#include <vector>

#include "engine/mux/leases.hpp"
#include "engine/streams/stream_output.hpp"

namespace tlsmux::engine::streams {

// From when the stream has its session.
class LeasedStream {
 public:
  // Both outlive it.
  LeasedStream(mux::StreamId stream, mux::Leases& leases, StreamOutput& output)
      : stream_(stream), leases_(&leases), output_(&output) {}

  // What the process has written: sealed, or kept until there is room.
  void take(std::span<const std::byte> bytes);
  [[nodiscard]] bool has_room() const { return kept_.empty(); }
  // There is room again.
  void write_kept();
  // The process writes no more: told to the host behind what is kept.
  void finish();
  [[nodiscard]] bool has_finished() const { return finishing_ && kept_.empty(); }

  // The host has said that it sends no more.
  void host_finished();
  // Both have said so, and all has gone up.
  [[nodiscard]] bool is_over() const { return host_finished_ && has_finished(); }

  // Stops the host while more than `buffer_bytes` wait to be read. Not from within a call of the multiplexer.
  void regulate(std::size_t buffer_bytes);

 private:
  void finish_if_all_is_written();

  mux::StreamId stream_;
  mux::Leases* leases_;
  StreamOutput* output_;
  std::vector<std::byte> kept_;  // for the host
  bool finishing_ = false;
  bool host_finished_ = false;
  bool is_held_ = false;
};

}  // namespace tlsmux::engine::streams
