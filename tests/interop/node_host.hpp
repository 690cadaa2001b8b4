#pragma once

// A payment host that is not ours: Node.js and the npm package iso_8583, which scripts/setup installs.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/host/host_process.hpp"

namespace tlsmux::test {

// A message as the library understood it: values by field, 0 is the message type. Bitmaps have none.
using FieldValues = std::map<unsigned, std::string>;

class NodeHost {
 public:
  // True when it cannot run here, having said "SKIPPED:" and why.
  static bool is_missing();

  // With server.pem and a port of the kernel's choice. With `ask_every`, it sends an 0800 of its own before the
  // answer to every so manyth request of a connection. Returns once it listens.
  explicit NodeHost(unsigned ask_every = 0);

  [[nodiscard]] std::uint16_t port() const { return process_.port(); }

  // The messages that came so far, in order.
  [[nodiscard]] std::vector<FieldValues> received() const;

 private:
  host::TemporaryFolder folder_;
  host::ListeningProcess process_;
};

}  // namespace tlsmux::test
