#pragma once

// A folder for one test, removed with all in it. Other users may look into it, but files say for themselves who may
// read them.

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace tlsmux::test {

class TemporaryFolder {
 public:
  // Throws std::runtime_error if it cannot be made.
  explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path());
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  // Makes a file in it, by default readable by its owner only; its path.
  [[nodiscard]] std::string add(const std::string& name, const std::string& text, mode_t mode = 0600) const;

 private:
  std::string path_;
};

}  // namespace tlsmux::test
