// How a shard stops in good order: no new requests, those that it has go on; goodbye to hosts; streams' sockets closed.

#include "engine/shard/shard.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint64_t kCloseTimeNs = 1'000'000'000;  // for saying goodbye to hosts, and for closing sockets

}  // namespace

void Shard::run(Drain&& command) {
  if (stage_ != Stage::running) return;
  stage_ = Stage::draining;
  stage_ends_ns_ = now_ns_ + command.timeout_ms * mux::kNanosecondsPerMillisecond;
  multiplexer_.drain();
  streams_.drain();
  board_.set_state(shm::EngineState::draining);
}

void Shard::drain_further() {
  // What is left of them when the time is over, before the end of their sessions ends them.
  if (stage_ == Stage::draining) requests_left_ = static_cast<std::uint32_t>(multiplexer_.requests_left());
  if (stage_ == Stage::draining && (requests_left_ == 0 || now_ns_ >= stage_ends_ns_)) {
    stage_ = Stage::closing;
    stage_ends_ns_ = now_ns_ + kCloseTimeNs + multiplexer_.sign_off_ns();
    streams_.end_all(shm::Reason::engine_draining);
    multiplexer_.close_sessions();
  }
  if (stage_ == Stage::closing && (now_ns_ >= stage_ends_ns_ || (multiplexer_.is_closed() && streams_.size() == 0))) {
    stage_ = Stage::leaving;
    stage_ends_ns_ = now_ns_ + kCloseTimeNs;  // however late it is by now
    streams_.close_sockets();
  }
  // The kernel sends from a stream's memory until its socket is closed, which takes no process's doing.
  if (stage_ != Stage::leaving || (streams_.size() > 0 && now_ns_ < stage_ends_ns_)) return;
  stage_ = Stage::stopped;
  board_.set_state(shm::EngineState::stopped);
  replies_.emplace_back(Drained{.requests_left = requests_left_});
}

}  // namespace tlsmux::engine
