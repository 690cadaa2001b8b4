#pragma once

// How fast the neighbours' requests are answered beside hostile clients, beside nobody, and beside programs that do nothing but keep
// the processors busy, as any user may: what these take is no fault of the engine's. By turns, so that what comes and goes on the
// machine hits all alike.

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "tests/faults/neighbourhood.hpp"

namespace tlsmux::test {

class NeighbourRates {
 public:
  NeighbourRates(const Neighbourhood& place, int busy_programs) : place_(place), busy_programs_(busy_programs) {}

  void begin();
  // Of a time with hostile clients; as long ones follow with nobody and with busy programs.
  void end();
  // Medians, and of the ratios in each round the median with its 95 % confidence interval.
  void print() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum Company : std::uint8_t { hostile, nobody, busy, company_count };

  void end(Company company);
  void wait(Company company, Clock::duration time);
  void print_ratio(const char* words, Company company) const;

  const Neighbourhood& place_;
  int busy_programs_;
  Clock::time_point began_;
  std::uint64_t answered_ = 0;
  std::array<std::vector<double>, company_count> per_s_;
};

}  // namespace tlsmux::test
