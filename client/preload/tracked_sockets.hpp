#pragma once

// Which descriptors of this process are sockets on ports that it was given. Lock-free, without allocation, and made of
// single atomic words: close() may be called in a signal handler and between vfork and exec.
//
// Descriptors that go or are copied without this library's knowledge leave marks that are wrong. Then a port is released
// too early or too late as far as this process says: the engine asks the kernel, and believes that.

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "ports/protocol.hpp"

namespace tlsmux::preload {

class TrackedSockets {
 public:
  static constexpr int kDescriptorsMax = 65'536;  // those beyond are not tracked

  void track(int descriptor, ports::Port port);
  [[nodiscard]] bool is_tracked(int descriptor) const { return load(descriptor) != 0; }
  // `to` is now what `from` is.
  void copy(int from, int to);
  // Not tracked any more. Nothing: it was not.
  std::optional<ports::Port> take(int descriptor);
  // Another descriptor is on this port.
  [[nodiscard]] bool has(ports::Port port) const;
  // For a forked child: the sockets are its parent's.
  void forget_all();

 private:
  // protocol's bit << 16 | number; 0: not tracked
  using Word = std::atomic<std::uint32_t>;

  [[nodiscard]] std::uint32_t load(int descriptor) const {
    const auto place = static_cast<unsigned>(descriptor);
    return place < words_.size() ? words_[place].load(std::memory_order_relaxed) : 0;
  }
  void store(int descriptor, std::uint32_t word);
  static std::uint32_t word_of(ports::Port port) { return ports::bit_of(port.protocol) << 16 | port.number; }

  // Memory order: the words publish nothing but themselves.
  std::array<Word, kDescriptorsMax> words_{};
  std::atomic<unsigned> end_ = 0;  // no word at or after it was ever set
};

}  // namespace tlsmux::preload
