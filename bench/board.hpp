#pragma once

// The memory through which tlsmux-bench tells its clients what to do and they tell it what they saw. The conductor
// writes the task while no client works; each client writes its own place and samples only; a message on the client's
// socket stands between the two, so nothing here needs to be atomic.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// What each client does in one slice of time.
struct Task {
  std::uint32_t message_bytes_min = 300;
  std::uint32_t message_bytes_max = 300;
  std::uint32_t delay_us_min = 0;
  std::uint32_t delay_us_max = 0;
  std::uint32_t in_flight = 1;
  // Requests are handed over together, as many as there are at one time; else each by itself, as programs do whose
  // requests have nothing to do with each other.
  std::uint32_t is_batched = 0;
  std::uint32_t requests_max = 0;  // of each client; 0: as many as the time allows
  // Answers between the two count; clients begin before and stop after. CLOCK_MONOTONIC.
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
};

// What one client saw in one slice.
struct Place {
  std::uint64_t answered = 0;   // from its first request to its last answer
  std::uint64_t in_window = 0;  // of these, within the task's times
  std::uint64_t bytes_in_window = 0;
  std::uint64_t errors = 0;
  std::uint64_t sample_count = 0;      // latencies of answers within the window, as far as there is room
  std::array<char, 216> error_text{};  // of the first error
};
static_assert(sizeof(Place) == 256);

class Board {
 public:
  // Throws std::runtime_error if there is no memory.
  static Board create(std::size_t places, std::size_t samples_per_place);
  // The one that was inherited as this descriptor.
  static Board open(int descriptor);
  Board(Board&& other) noexcept;
  Board& operator=(Board&&) = delete;
  ~Board();

  [[nodiscard]] int descriptor() const { return file_.get(); }
  [[nodiscard]] std::size_t places() const;
  [[nodiscard]] Task& task() const;
  [[nodiscard]] Place& place(std::size_t number) const;
  // In ns. Memory is used only for what is written.
  [[nodiscard]] std::span<std::uint32_t> samples(std::size_t number) const;

 private:
  struct Head;
  Board(shm::UniqueFd file, void* memory, std::size_t bytes);
  [[nodiscard]] Head& head() const;

  shm::UniqueFd file_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tlsmux::bench
