#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shm/system/unique_fd.hpp"
#include "tests/host/byte_queue.hpp"
#include "tests/host/tls_context.hpp"

namespace tlsmux::host {

enum class IoStatus : std::uint8_t {
  done,     // all that was asked, or as much as one turn allows: call again
  blocked,  // waits for what events() says
  ended,    // the peer said close_notify
  failed    // the connection is of no more use; error() says why
};

// One TLS connection on a non-blocking socket, with its buffers: decrypted bytes come into input(), bytes put
// into output() go out. It takes no decision and keeps no count.
class Connection {
 public:
  Connection(shm::UniqueFd socket, Ssl ssl);

  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  [[nodiscard]] ByteQueue& input() { return input_; }
  [[nodiscard]] ByteQueue& output() { return output_; }
  [[nodiscard]] bool handshake_done() const { return handshake_done_; }
  [[nodiscard]] bool notify_sent() const { return notify_sent_; }
  [[nodiscard]] const std::string& error() const { return error_; }

  IoStatus handshake();
  IoStatus receive();
  // Sends what output() holds.
  IoStatus send();
  // Says close_notify and ends the sending direction. Receiving still works.
  IoStatus send_notify();
  // Each byte of output goes out in a record of its own from now on.
  void split_records() { record_bytes_max_ = 1; }
  // Puts bytes that are no TLS into the connection, behind what was sent. What the kernel does not take is left out.
  void send_garbage(std::string_view bytes);
  // Asks the peer for a new handshake (TLS 1.2) or for new keys (TLS 1.3), behind what was sent.
  IoStatus ask_renegotiation();
  // Sends so many records without data, key updates of TLS 1.3; fewer if the peer does not take them.
  void send_chatter(std::size_t records);
  // Makes the end of this object reset the connection (RST) instead of closing it.
  void reset_on_close();

  // The epoll events that it waits for. `reading` false: none for more input.
  [[nodiscard]] std::uint32_t events(bool reading) const;

 private:
  enum class Wants : std::uint8_t { nothing, readable, writable };
  IoStatus settle(int result, Wants& wants);

  shm::UniqueFd socket_;
  Ssl ssl_;
  ByteQueue input_;
  ByteQueue output_;
  // What a blocked operation waits for: each may need the other direction.
  Wants handshake_wants_ = Wants::readable;
  Wants receive_wants_ = Wants::readable;
  Wants send_wants_ = Wants::nothing;
  std::size_t record_bytes_max_ = SIZE_MAX;
  bool handshake_done_ = false;
  bool notify_sent_ = false;
  std::string error_;
};

}  // namespace tlsmux::host
