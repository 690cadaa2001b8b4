#pragma once

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

struct DrainOptions {
  std::string upstream;
  std::string control_socket;    // empty: from the environment, else the usual one
  std::uint32_t timeout_ms = 0;  // 0: as long as the upstream's timeouts/drain_ms
  bool resume = false;
};

// `tlsmux drain`: has an upstream take no requests, waits until those that it has are done, or undoes it. Returns the
// exit code.
int run_drain(const DrainOptions& options);

}  // namespace tlsmux::client::cli
