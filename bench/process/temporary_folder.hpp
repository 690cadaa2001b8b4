#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "shm/system/system_error.hpp"

namespace tlsmux::bench {

// A new folder, removed with all in it. Its path is short enough for a UNIX socket's.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = "/tmp/tlsmux-bench.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error(shm::last_error("making a folder").message);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace tlsmux::bench
