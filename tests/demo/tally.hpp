#pragma once

// What became of requests, in numbers.

#include <cstdint>
#include <map>
#include <vector>

#include "tests/demo/ledger.hpp"

namespace tlsmux::demo {

struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t answered = 0;
  std::uint64_t not_sent = 0;
  std::uint64_t maybe_sent = 0;
  std::uint64_t open = 0;  // without an outcome, since the authorizer was killed
  std::map<std::uint16_t, std::uint64_t> not_sent_reasons;
  std::map<std::uint16_t, std::uint64_t> maybe_sent_reasons;
  std::vector<std::uint32_t> latencies_us;  // of the answered ones

  void add(const std::vector<LedgerEntry>& entries);
  // The latency at or below which the share `q`, 0 to 1, of the answered requests lies (nearest rank), in
  // milliseconds; 0 when none was answered.
  [[nodiscard]] double percentile_ms(double q) const;
};

}  // namespace tlsmux::demo
