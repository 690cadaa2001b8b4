#pragma once

// How fast the neighbours' requests are answered beside hostile clients and without, by turns, so that what comes and goes on the
// machine hits both alike. Meanwhile programs of least priority keep the processors awake: a virtual processor that has gone to
// sleep takes longer to wake than a request takes, and beside hostile clients, which leave it no sleep, neighbours are faster.

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/broker/process.hpp"
#include "tests/faults/neighbourhood.hpp"

namespace tlsmux::test {

class NeighbourRates {
 public:
  NeighbourRates(const Neighbourhood& place, int busy_programs);

  void begin();
  // Of a time with hostile clients; as long a time without follows.
  void end();
  // Medians, and of the ratios in each round the median with its 95 % confidence interval.
  void print() const;

 private:
  using Clock = std::chrono::steady_clock;

  double rate() const;

  const Neighbourhood& place_;
  std::vector<std::unique_ptr<ChildProcess>> busy_programs_;
  Clock::time_point began_;
  std::uint64_t answered_ = 0;
  std::vector<double> beside_per_s_;
  std::vector<double> without_per_s_;
};

}  // namespace tlsmux::test
