#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bench/host/tally.hpp"
#include "bench/host/tls.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// One connection of the host. One thread.
class HostSession {
 public:
  // The socket does not block.
  HostSession(shm::UniqueFd socket, SSL_CTX* context, HostTally& tally);

  [[nodiscard]] int socket() const { return socket_.get(); }
  // The connection is of no more use.
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] bool waits_to_write() const { return sent_ < output_.size(); }

  // Reads what has come. Calls `answer(delay_us, frame)` for each message that is whole, with the frame of its answer.
  template <typename Answer>
  void receive(Answer answer) {
    while (read_some()) {
      for (auto frame = next_frame(); !frame.empty(); frame = next_frame()) answer(delay_of(frame), frame);
      if (SSL_has_pending(ssl_.get()) == 0) break;  // epoll tells of more
    }
  }

  void put(std::span<const std::byte> frame) { output_.insert(output_.end(), frame.begin(), frame.end()); }
  // As much as the kernel takes.
  void send();

 private:
  bool read_some();
  bool shake_hands();
  [[nodiscard]] std::optional<std::size_t> next_bytes() const;
  std::span<std::byte> next_frame();
  [[nodiscard]] static std::uint32_t delay_of(std::span<const std::byte> frame);
  void settle(int result);

  shm::UniqueFd socket_;
  Ssl ssl_;
  HostTally& tally_;
  bool is_over_ = false;
  bool is_open_ = false;          // the handshake is done
  std::vector<std::byte> input_;  // [begin_, end_) is yet to be looked at
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<std::byte> output_;  // from sent_ on yet to be sent
  std::size_t sent_ = 0;
};

}  // namespace tlsmux::bench
