#pragma once

#include <mutex>
#include <string_view>

#include "engine/tls/key_log.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

// Secrets of TLS sessions, appended to a file. Each line is written at once and no copy is kept. A line that cannot be
// written is lost: the file is for people who look into something, and no session waits for it.
class KeyLogFile final : public tls::KeyLog {
 public:
  // Opened for appending.
  explicit KeyLogFile(shm::UniqueFd file) : file_(std::move(file)) {}

  void append(std::string_view line) noexcept override;

 private:
  shm::UniqueFd file_;
  std::mutex mutex_;  // so that the rest of a line that was written in part follows it
};

}  // namespace tlsmux::engine
