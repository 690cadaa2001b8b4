#pragma once

// A process's end of a stream (shm/stream_record.hpp), as plain reads and writes. It reads no more than the one who asks
// wants: the header of the record that is next, then the host's bytes straight into the caller's memory. So a socket with
// something to read is a stream with something to read; only what stands before the first byte of the host (`opened`) and a
// header whose bytes are still on their way make the socket readable and a read come back with would_wait.
//
// Blocks or not, and for how long, as the socket is set (O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO). Raises no SIGPIPE. One
// thread may read while another writes; await_opened counts as reading.

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shm/stream_record.hpp"

namespace tlsmux::client {

enum class StreamStatus : std::uint8_t {
  ok,           // `bytes` hold
  closed,       // the host sends no more, and said so
  would_wait,   // the socket does not block, or its time-out is over
  interrupted,  // by a signal, before anything was read or written
  refused,      // there is no stream: end() says why
  lost,         // likewise
  broken,       // the socket ended without a record: the engine died. `error` is an errno
};

struct StreamResult {
  StreamStatus status = StreamStatus::ok;
  std::size_t bytes = 0;
  int error = 0;
};

class StreamSocket {
 public:
  // The socket stays the caller's, who keeps it open for as long as it uses this.
  explicit StreamSocket(int socket) : socket_(socket) {}
  StreamSocket(const StreamSocket&) = delete;
  StreamSocket& operator=(const StreamSocket&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  // To a duplicate of it.
  void move_to(int socket) { socket_ = socket; }

  // Reads the first record and nothing behind it. ok: the stream is open. `flags` may be MSG_DONTWAIT.
  StreamResult await_opened(int flags = 0);
  [[nodiscard]] bool is_opened() const { return is_opened_; }
  // Of its session. Once it is opened.
  [[nodiscard]] const shm::StreamOpened& opened() const { return opened_; }
  // DER, the host's own first.
  [[nodiscard]] std::span<const std::vector<std::byte>> certificates() const { return certificates_; }

  // Awaits that it is opened, then gives up to as many bytes as there is room for, of one record at the most. ok with 0
  // bytes only if there is no room. `flags`: MSG_DONTWAIT, MSG_PEEK. After closed, refused, lost or broken always the same.
  StreamResult read(std::span<const iovec> parts, int flags = 0);
  StreamResult read(std::span<std::byte> into, int flags = 0) {
    const iovec part{.iov_base = into.data(), .iov_len = into.size()};
    return read(std::span(&part, 1), flags);
  }
  // What a read would give without waiting, as far as it is of the record that has been begun. Never waits.
  [[nodiscard]] std::size_t pending() const;

  // As much as goes, once. broken: nobody takes it any more, with EPIPE or ECONNRESET; why, reading says. `flags`:
  // MSG_DONTWAIT, MSG_MORE.
  StreamResult write(std::span<const iovec> parts, int flags = 0) const;
  StreamResult write(std::span<const std::byte> bytes, int flags = 0) const {
    const iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    return write(std::span(&part, 1), flags);
  }
  // Writes no more. 0 or an errno.
  [[nodiscard]] int shut_down_writing() const;

  // The last word that was read: ok while there is none. Any thread.
  [[nodiscard]] StreamStatus last_status() const { return last_.load(std::memory_order_acquire); }
  // After refused or lost.
  [[nodiscard]] const shm::StreamLost& end() const { return end_; }

 private:
  StreamResult receive(std::span<std::byte> into, std::size_t& done, int flags) const;
  StreamResult next_record(int flags);
  StreamResult take_record(int flags);
  StreamResult take_opened();
  StreamResult finish(StreamStatus status, int error = 0);

  int socket_;
  bool is_opened_ = false;
  shm::StreamOpened opened_;
  std::vector<std::vector<std::byte>> certificates_;
  // The record that is being read.
  std::array<std::byte, sizeof(shm::StreamRecordHeader)> header_{};
  std::size_t header_bytes_ = 0;  // of it that have come
  std::size_t data_left_ = 0;     // of a data record
  std::vector<std::byte> body_;   // of any other
  std::size_t body_bytes_ = 0;    // of it that have come
  shm::StreamLost end_;
  int end_error_ = 0;
  std::atomic<StreamStatus> last_ = StreamStatus::ok;
};

}  // namespace tlsmux::client
