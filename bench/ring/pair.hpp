#pragma once

// Two processes that pass a word, or a request and its answer, to and fro: through the rings, slots and bells of shm/
// as client and engine use them, and through the least that the machine offers.

#include <cstdint>
#include <vector>

namespace tlsmux::bench {

enum class Exchange : std::uint8_t {
  ring_awake,   // 300 bytes through the rings, both sides looking all the time
  ring_asleep,  // the same, both sides asleep in between
  cache_line,   // a word through a cache line each way, both sides looking all the time
  eventfd,      // an eventfd each way, both sides asleep in between
};

struct ExchangeSlice {
  std::vector<std::uint32_t> round_trips_ns;  // each the mean of some trips where the clock would weigh
  std::uint64_t trips = 0;
  std::uint64_t cpu_ns = 0;  // of both sides
  std::uint64_t errors = 0;  // answers that were not what they should be
};

// For so long. Throws std::runtime_error.
ExchangeSlice exchange_for(Exchange exchange, std::uint64_t duration_ns);

}  // namespace tlsmux::bench
