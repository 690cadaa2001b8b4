#pragma once

// The configuration that an engine may change over to: read anew from the file that tlsmuxd was started with, checked
// like at the start, and kept until the engine has taken it over or given it up.

#include <expected>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "shm/system_error.hpp"
#include "shm/unique_fd.hpp"

namespace tlsmux::engine::broker {

class CandidateConfig {
 public:
  // `present` outlives it; adopt() replaces it where it is. An empty path: there is no file.
  CandidateConfig(config::Config& present, std::string path) : present_(&present), path_(std::move(path)) {}

  struct Loaded {
    bool is_refused = false;
    shm::UniqueFd text;  // sealed: the bundle, or all errors
  };
  // In place of an earlier candidate. Blocks on the file system and the account database.
  std::expected<Loaded, shm::SystemError> load();

  // Null: there is none.
  [[nodiscard]] const config::Config* get() const { return candidate_ ? &*candidate_ : nullptr; }
  // False: there is none.
  bool adopt();
  void drop() { candidate_.reset(); }

 private:
  config::Config* present_;
  std::string path_;
  std::optional<config::Config> candidate_;
};

}  // namespace tlsmux::engine::broker
