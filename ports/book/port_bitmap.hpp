#pragma once

// Which ports of a set are free, and a free one in constant time: a bit for each port, a bit for each word of 64 that
// has a free one, a bit for each 64 of those. A cursor goes round, so that a port that has just been freed is the last
// to be given out again.

#include <array>
#include <cstdint>
#include <optional>

#include "ports/book/port_set.hpp"

namespace tlsmux::ports {

class PortBitmap {
 public:
  void put(std::uint16_t port);   // it is free now
  void take(std::uint16_t port);  // it is not
  [[nodiscard]] bool is_free(std::uint16_t port) const;
  [[nodiscard]] std::uint32_t free_count() const { return free_; }

  // Takes the next free one behind the cursor, and moves the cursor there. Nothing: none is free.
  std::optional<std::uint16_t> take_next();

 private:
  [[nodiscard]] std::optional<std::uint16_t> next_from(std::uint32_t port) const;

  std::array<std::uint64_t, 1024> ports_{};
  std::array<std::uint64_t, 16> words_{};  // bit w: ports_[w] is not zero
  std::uint32_t cursor_ = 0;
  std::uint32_t free_ = 0;
};

}  // namespace tlsmux::ports
