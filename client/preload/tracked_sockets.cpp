#include "client/preload/tracked_sockets.hpp"

#include <algorithm>

namespace tlsmux::preload {

void TrackedSockets::store(int descriptor, std::uint32_t word) {
  const auto place = static_cast<unsigned>(descriptor);
  if (place >= words_.size()) return;
  auto end = end_.load(std::memory_order_relaxed);
  while (word != 0 && end <= place && !end_.compare_exchange_weak(end, place + 1, std::memory_order_relaxed)) {
  }
  words_[place].store(word, std::memory_order_relaxed);
}

void TrackedSockets::track(int descriptor, ports::Port port) { store(descriptor, word_of(port)); }

void TrackedSockets::copy(int from, int to) { store(to, load(from)); }

std::optional<ports::Port> TrackedSockets::take(int descriptor) {
  const auto place = static_cast<unsigned>(descriptor);
  const auto word = place < words_.size() ? words_[place].exchange(0, std::memory_order_relaxed) : 0;
  if (word == 0) return std::nullopt;
  return ports::Port{.protocol = word >> 16 == shm::kPortTcp ? ports::Protocol::tcp : ports::Protocol::udp,
                     .number = static_cast<std::uint16_t>(word)};
}

bool TrackedSockets::has(ports::Port port) const {
  const auto end = end_.load(std::memory_order_relaxed);
  const auto is_on_it = [&](const Word& word) { return word.load(std::memory_order_relaxed) == word_of(port); };
  return std::any_of(words_.begin(), words_.begin() + end, is_on_it);
}

void TrackedSockets::forget_all() {
  const auto end = end_.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < end; ++i) words_[i].store(0, std::memory_order_relaxed);
}

}  // namespace tlsmux::preload
