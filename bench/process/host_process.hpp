#pragma once

#include <cstdint>
#include <string>

#include "bench/process/child_process.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

struct HostCount {
  std::uint64_t handshakes = 0;
  std::uint64_t resumed = 0;
  std::uint64_t messages = 0;
  std::uint64_t errors = 0;
};

// tlsmux-bench-host. Failures throw std::runtime_error.
class HostProcess {
 public:
  // Returns once it listens.
  HostProcess(const std::string& program_folder, const std::string& certificate_file, const std::string& key_file,
              unsigned threads);

  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint64_t cpu_ns() const;
  // What it has counted by now.
  HostCount count();

 private:
  std::string read_line();

  shm::UniqueFd input_;   // the host's
  shm::UniqueFd output_;  // the host's
  ChildProcess process_;
  std::string address_;
};

}  // namespace tlsmux::bench
