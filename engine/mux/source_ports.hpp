#pragma once

// The ports from which an upstream's connections are made: each for one connection at a time, and the one that was given
// back longest ago first, so that what the kernel still keeps of its last connection has time to go.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace tlsmux::engine::mux {

class SourcePorts {
 public:
  // From now on these and no others. One that is taken stays so until it is given back, whether it is among them or not.
  void set(const std::vector<std::uint16_t>& ports);

  // Nothing: none is free.
  std::optional<std::uint16_t> take();
  void give_back(std::uint16_t port);

  // All that there are, taken or not.
  [[nodiscard]] std::size_t count() const { return ports_.size(); }

 private:
  std::vector<std::uint16_t> ports_;
  std::deque<std::uint16_t> free_;  // the front is the next
  std::vector<std::uint16_t> taken_;
};

}  // namespace tlsmux::engine::mux
