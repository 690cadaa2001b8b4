#pragma once

// The control socket. It belongs to the broker, so that clients that come while an engine is being replaced wait in its
// backlog. Anybody may connect (mode 0666): who may do what is decided by the credentials of the one who connected.

#include <sys/types.h>

#include <expected>
#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// Destroying it closes the socket, and removes its file if that is still the one it made.
class ControlListener {
 public:
  // Listens, non-blocking, at `path`. Makes the folder it lies in if that is missing. A socket file that nobody answers
  // at is replaced; an error in words when somebody does.
  static std::expected<ControlListener, std::string> create(const std::string& path);

  ControlListener(ControlListener&&) noexcept = default;
  ControlListener& operator=(ControlListener&&) = delete;
  ~ControlListener();

  [[nodiscard]] int descriptor() const { return fd_.get(); }

 private:
  ControlListener(std::string path, shm::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  shm::UniqueFd fd_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace tlsmux::engine::broker
