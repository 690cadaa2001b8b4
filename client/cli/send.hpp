#pragma once

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

struct SendOptions {
  std::string upstream;
  std::string hex;             // the message, if not empty
  std::string file;            // else a file's bytes; "-" or empty: standard input
  std::string group;           // empty: from the environment
  std::string control_socket;  // empty: from the environment, else the usual place
  std::uint32_t timeout_ms = 0;
  bool json = false;
  bool hex_output = false;
};

// `tlsmux send`: sends one message, prints the answer on standard output and the outcome on standard error. Returns
// the exit code.
int run_send(const SendOptions& options);

}  // namespace tlsmux::client::cli
