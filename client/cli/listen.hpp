#pragma once

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

struct ListenOptions {
  std::string upstream;
  std::string group;           // empty: from the environment
  std::string control_socket;  // empty: from the environment, else the usual place
  bool late = false;
  bool unsolicited = false;
  bool orphans = false;
  std::uint64_t count = 0;  // then it ends; 0: never
  bool json = false;
  bool hex = false;  // shows payload
};

// `tlsmux listen`: prints a line for each notice, and releases it. Returns the exit code.
int run_listen(const ListenOptions& options);

}  // namespace tlsmux::client::cli
