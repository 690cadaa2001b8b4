#pragma once

// The engine's only contact with sockets and eventfds while it runs: one io_uring, used by one thread.
//
// Sockets are registered files, send memory is registered memory, received bytes come in buffers that the kernel picks
// from a ring of them. After construction nothing is registered any more by a system call of its own, so that a
// seccomp filter can forbid it.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <vector>

#include "engine/mux/ids.hpp"
#include "engine/mux/seams.hpp"
#include "engine/streams/stream_sockets.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::io {

// What the loop has to tell. Called from tell() only, on its thread.
class IoEvents {
 public:
  virtual ~IoEvents() = default;
  virtual void connected(mux::SessionId session, int error) = 0;
  // `bytes` may be overwritten; they are valid during the call only.
  virtual void received(mux::SessionId session, std::span<std::byte> bytes) = 0;
  virtual void sent(mux::SessionId session, std::int64_t result) = 0;
  virtual void ended(mux::SessionId session, int error) = 0;
  virtual void closed(mux::SessionId session) = 0;
  // Of streams; as streams::StreamSockets says.
  virtual void stream_received(mux::StreamId stream, std::span<const std::byte> bytes) = 0;
  virtual void stream_failed(mux::StreamId stream, int error) = 0;
  virtual void stream_took(mux::StreamId stream, std::int64_t result) = 0;
  virtual void stream_closed(mux::StreamId stream) = 0;
  // A watched descriptor has been written to.
  virtual void rung(std::uint32_t watch) = 0;
  // unwatch() is done: the descriptor may be closed.
  virtual void unwatched(std::uint32_t watch) = 0;
  // wake() is done: the next for this waker may begin.
  virtual void woken(std::uint32_t waker) = 0;
};

struct IoSettings {
  std::vector<std::size_t> send_memory_bytes;  // for each session, a multiple of the page size
  std::uint32_t receive_buffers = 128;         // a power of two
  std::uint32_t receive_buffer_bytes = 16 * 1024 + 512;
};

class IoLoop final : public mux::Network, public streams::StreamSockets {
 public:
  // Call it on the thread that will call everything else. Errors say which feature of the kernel is missing or
  // forbidden, and what to set.
  static std::expected<std::unique_ptr<IoLoop>, shm::SystemError> create(const IoSettings& settings);
  ~IoLoop() override;

  // mux::Network.
  std::span<std::byte> send_memory(std::uint32_t session_index) override;
  void connect(mux::SessionId session, const mux::Address& address, const mux::ConnectOptions& options) override;
  void send(mux::SessionId session, std::span<const std::byte> bytes) override;
  void close(mux::SessionId session) override;
  void hold(mux::SessionId session) override;
  void resume(mux::SessionId session) override;

  // streams::StreamSockets.
  void adopt(mux::StreamId stream, shm::UniqueFd socket) override;
  void receive(mux::StreamId stream) override;
  void send(mux::StreamId stream, std::span<const std::byte> bytes) override;
  void watch_hang_up(mux::StreamId stream) override;
  void close(mux::StreamId stream, bool reset) override;

  // Leads to `rung` each time the descriptor (an eventfd) is written. It stays open until `unwatched`. Requires that
  // nothing is watched by that number; numbers are small.
  void watch(std::uint32_t watch, int descriptor);
  void unwatch(std::uint32_t watch);

  // Adds 1 to an eventfd, which stays open until `woken`. One at a time for each waker.
  void wake(std::uint32_t waker, int descriptor);

  // Submits what has been prepared, and waits for something to happen, `wait` at the most.
  void wait(std::chrono::nanoseconds wait);
  // True when wait() would submit something, or tell() might have something to tell. Not a system call.
  [[nodiscard]] bool has_news() const;
  // Tells what has happened. Something has: true.
  bool tell(IoEvents& events);

  // False when the kernel did not let send memory be registered (RLIMIT_MEMLOCK): sends then copy from plain memory.
  [[nodiscard]] bool has_registered_memory() const;

  struct Implementation;
  explicit IoLoop(std::unique_ptr<Implementation> implementation);  // for create()

 private:
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace tlsmux::engine::io
