#pragma once

// Which ports this process was given and has not given back. Any thread.

#include <array>
#include <atomic>
#include <cstdint>

#include "shm/layout.hpp"

namespace tlsmux::client {

// Memory order: a set of marks that publish nothing else.
class HeldPorts {
 public:
  // False: it was there already. `protocol` is kPortTcp or kPortUdp.
  bool add(std::uint32_t protocol, std::uint16_t port) {
    return (word(protocol, port).fetch_or(bit(port), std::memory_order_relaxed) & bit(port)) == 0;
  }
  // False: it was not there.
  bool remove(std::uint32_t protocol, std::uint16_t port) {
    return (word(protocol, port).fetch_and(~bit(port), std::memory_order_relaxed) & bit(port)) != 0;
  }
  [[nodiscard]] bool contains(std::uint32_t protocol, std::uint16_t port) const {
    return (words_[place(protocol, port)].load(std::memory_order_relaxed) & bit(port)) != 0;
  }

 private:
  static constexpr std::size_t kWords = 65'536 / 64;  // of each protocol

  static std::uint64_t bit(std::uint16_t port) { return 1ULL << port % 64; }
  static std::size_t place(std::uint32_t protocol, std::uint16_t port) {
    return (protocol == shm::kPortUdp ? kWords : 0) + port / 64;
  }
  std::atomic<std::uint64_t>& word(std::uint32_t protocol, std::uint16_t port) { return words_[place(protocol, port)]; }

  std::array<std::atomic<std::uint64_t>, 2 * kWords> words_{};
};

}  // namespace tlsmux::client
