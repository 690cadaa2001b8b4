#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/process/child_process.hpp"
#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// A tlsmuxd with one group. Failures throw std::runtime_error.
class EngineProcess {
 public:
  // `name` is different for each that is started in a run. `config` is its configuration with marks as in fill_in: FOLDER,
  // GROUP, USER and HOST are filled in. Returns once so many sessions are up.
  void start(const Ground& ground, const std::string& name, const std::string& config, std::uint32_t sessions);

  // What a program needs to find it, as NAME=VALUE.
  [[nodiscard]] std::vector<std::string> environment() const;
  [[nodiscard]] std::vector<pid_t> processes() const;

 private:
  [[nodiscard]] std::uint32_t sessions_ready() const;

  std::string folder_;
  std::string group_;
  std::optional<ChildProcess> process_;
};

}  // namespace tlsmux::bench
