#pragma once

// A host with a record, which comes back at its own port when it was killed.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/host/host_process.hpp"

namespace tlsmux::test {

class ReturningHost {
 public:
  // The record is a file in `folder`.
  ReturningHost(const TemporaryFolder& folder, const std::string& name, std::vector<std::string> arguments);

  [[nodiscard]] std::uint16_t port() const { return process_->port(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] const std::string& record() const { return record_; }
  void kill_and_restart();
  int stop() { return process_->stop(); }

 private:
  std::string record_;
  std::vector<std::string> arguments_;
  std::unique_ptr<host::HostProcess> process_;
};

}  // namespace tlsmux::test
