#pragma once

// The free dynamic ports of one protocol. Those that a label remembers are given to others only when there is nothing
// else.

#include <cstdint>
#include <optional>

#include "ports/book/port_bitmap.hpp"

namespace tlsmux::ports {

class PortPool {
 public:
  // It is free from now on; or was, and a label remembers it now, or does not any more.
  void put(std::uint16_t port, bool is_remembered) {
    take(port);
    (is_remembered ? remembered_ : others_).put(port);
  }
  void take(std::uint16_t port) {
    remembered_.take(port);
    others_.take(port);
  }
  [[nodiscard]] bool is_free(std::uint16_t port) const { return remembered_.is_free(port) || others_.is_free(port); }
  [[nodiscard]] std::uint32_t free_count() const { return remembered_.free_count() + others_.free_count(); }

  std::optional<std::uint16_t> take_unremembered() { return others_.take_next(); }
  std::optional<std::uint16_t> take_any() {
    const auto port = others_.take_next();
    return port ? port : remembered_.take_next();
  }

 private:
  PortBitmap others_;
  PortBitmap remembered_;
};

}  // namespace tlsmux::ports
