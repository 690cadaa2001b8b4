#pragma once

// A stream as the C interface has it: tlsmux/stream.h.

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>

#include "client/streams/stream_socket.hpp"
#include "shm/control_protocol.hpp"
#include "shm/outcome.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client {

struct StreamOptions {
  std::string upstream;
  std::string group;  // empty: the first that this process is a member of
  std::string control_socket;
  std::uint32_t timeout_ms = 0;  // 0: as the upstream has it
  bool is_nonblocking = false;
};

class Stream {
 public:
  static std::expected<std::unique_ptr<Stream>, shm::SystemError> open(const StreamOptions& options);

  explicit Stream(shm::UniqueFd socket) : socket_(std::move(socket)), records_(socket_.get()) {}

  // Each as in stream.h: negative errnos.
  int await_open(std::uint32_t timeout_ms);
  ssize_t read(std::span<const iovec> parts);
  ssize_t write(std::span<const iovec> parts);
  int shut_down();
  int set_timeouts(std::uint32_t read_timeout_ms, std::uint32_t write_timeout_ms);
  [[nodiscard]] int descriptor() const { return socket_.get(); }

  struct End {
    shm::Reason reason = shm::Reason::none;
    bool maybe_sent = false;
    std::string words;
  };
  [[nodiscard]] End end() const;

 private:
  [[nodiscard]] int error_of(const StreamResult& result) const;
  [[nodiscard]] bool blocks() const;

  shm::UniqueFd socket_;
  StreamSocket records_;
  std::atomic<bool> has_written_ = false;
  std::atomic<bool> is_shut_down_ = false;
};

}  // namespace tlsmux::client
