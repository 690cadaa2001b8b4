#pragma once

// A plain connection of a program's, carried on to where the program wanted to go: both directions, until both have ended
// or one fails, and then the other side learns of it. The bytes stay in the kernel (splice).

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>

#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::wrapper {

// So that nobody takes the end for an orderly one: the close that follows is a reset.
void reset_on_close(int socket);

// One thread, which blocks SIGPIPE. Never waits.
class Relay {
 public:
  enum class Progress : std::uint8_t {
    waits,  // for one of its sockets
    busy,   // move() again, soon
    over,
  };

  // `process` is connected and non-blocking. If it fails, `process` is reset.
  static std::expected<std::unique_ptr<Relay>, shm::SystemError> start(shm::UniqueFd process,
                                                                       const shm::PeerAddress& host);

  // To be called whenever something has changed at one of its sockets (edge-triggered, in, out and hang-up).
  Progress move();

  [[nodiscard]] int process() const { return process_.get(); }
  [[nodiscard]] int host() const { return host_.get(); }

 private:
  struct Direction {
    int from = -1;
    int to = -1;
    shm::UniqueFd pipe_end;    // to read from
    shm::UniqueFd pipe_begin;  // to write to
    std::size_t in_pipe = 0;   // bytes
    bool is_ended = false;     // `from` sends no more
    bool is_told = false;      // and `to` knows
  };

  Relay(shm::UniqueFd process, shm::UniqueFd host) : process_(std::move(process)), host_(std::move(host)) {}
  static bool make_pipe(Direction& direction);
  Progress fail();
  [[nodiscard]] bool is_connected();
  static Progress move(Direction& direction);

  shm::UniqueFd process_;
  shm::UniqueFd host_;
  Direction up_;
  Direction down_;
  bool is_connected_ = false;
};

}  // namespace tlsmux::engine::wrapper
