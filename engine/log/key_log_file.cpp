#include "engine/log/key_log_file.hpp"

#include <unistd.h>

#include <cerrno>

namespace tlsmux::engine {

void KeyLogFile::append(std::string_view line) noexcept {
  const std::lock_guard lock(mutex_);
  while (!line.empty()) {
    const auto written = ::write(file_.get(), line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace tlsmux::engine
