#include "engine/wrapper/relay.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "engine/wrapper/addresses.hpp"

namespace tlsmux::engine::wrapper {
namespace {

constexpr std::size_t kPipeBytes = 64UL * 1024;  // what the kernel gives a pipe
constexpr int kStepsMax = 16;                    // of one direction, before others have their turn

int error_of(int socket) {
  int error = 0;
  socklen_t length = sizeof error;
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void switch_on(int socket, int level, int option) {
  const int on = 1;
  ::setsockopt(socket, level, option, &on, sizeof on);
}

ssize_t move_bytes(int from, int to, std::size_t bytes_max) {
  while (true) {
    const auto moved = ::splice(from, nullptr, to, nullptr, bytes_max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0 || errno != EINTR) return moved;
  }
}

}  // namespace

void reset_on_close(int socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::expected<std::unique_ptr<Relay>, shm::SystemError> Relay::start(shm::UniqueFd process,
                                                                     const shm::PeerAddress& host) {
  const auto refuse = [&](std::string_view doing_what) {
    auto error = shm::last_error(doing_what);
    reset_on_close(process.get());
    return std::unexpected(std::move(error));
  };
  const auto address = socket_address(host);
  shm::UniqueFd socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return refuse("making a socket for a relayed connection");
  // When a byte is sent is for the program to say, and it has said so already.
  switch_on(socket.get(), IPPROTO_TCP, TCP_NODELAY);
  switch_on(process.get(), IPPROTO_TCP, TCP_NODELAY);
  switch_on(socket.get(), SOL_SOCKET, SO_KEEPALIVE);
  // A host that does not answer has half a minute, as the kernel doubles the first second with each try.
  const int tries = 4;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof tries);
  if (::connect(socket.get(), address.get(), address.length) != 0 && errno != EINPROGRESS) {
    return refuse("connecting a relayed connection");
  }
  Direction up;
  Direction down;
  if (!make_pipe(up) || !make_pipe(down)) return refuse("making a pipe for a relayed connection");
  std::unique_ptr<Relay> relay(new Relay(std::move(process), std::move(socket)));
  up.from = down.to = relay->process();
  up.to = down.from = relay->host();
  relay->up_ = std::move(up);
  relay->down_ = std::move(down);
  return relay;
}

bool Relay::make_pipe(Direction& direction) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
  direction.pipe_end.reset(ends[0]);
  direction.pipe_begin.reset(ends[1]);
  return true;
}

Relay::Progress Relay::move() {
  if (!is_connected()) {
    return error_of(host_.get()) != 0 || error_of(process_.get()) != 0 ? fail() : Progress::waits;
  }
  const auto up = move(up_);
  const auto down = move(down_);
  if (up == Progress::over || down == Progress::over) return fail();
  if (up_.is_told && down_.is_told) return Progress::over;
  return up == Progress::busy || down == Progress::busy ? Progress::busy : Progress::waits;
}

Relay::Progress Relay::fail() {
  reset_on_close(process_.get());
  reset_on_close(host_.get());
  return Progress::over;
}

bool Relay::is_connected() {
  is_connected_ = is_connected_ || remote_address_of(host_.get()).has_value();
  return is_connected_;
}

// Over: it has failed.
Relay::Progress Relay::move(Direction& direction) {
  for (int steps = 0; steps < kStepsMax; ++steps) {
    bool has_moved = false;
    if (!direction.is_ended && direction.in_pipe < kPipeBytes) {
      const auto got = move_bytes(direction.from, direction.pipe_begin.get(), kPipeBytes - direction.in_pipe);
      if (got < 0 && errno != EAGAIN) return Progress::over;
      if (got == 0) direction.is_ended = true;
      if (got > 0) direction.in_pipe += static_cast<std::size_t>(got);
      has_moved = got > 0;
    }
    if (direction.in_pipe > 0) {
      const auto put = move_bytes(direction.pipe_end.get(), direction.to, direction.in_pipe);
      if (put < 0 && errno != EAGAIN) return Progress::over;
      if (put > 0) direction.in_pipe -= static_cast<std::size_t>(put);
      has_moved = has_moved || put > 0;
    }
    if (direction.is_ended && direction.in_pipe == 0 && !direction.is_told) {
      ::shutdown(direction.to, SHUT_WR);
      direction.is_told = true;
    }
    if (!has_moved) return Progress::waits;
  }
  return Progress::busy;
}

}  // namespace tlsmux::engine::wrapper
