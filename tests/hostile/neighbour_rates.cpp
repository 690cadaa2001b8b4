#include "tests/hostile/neighbour_rates.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "bench/statistics.hpp"
#include "tests/hostile/chaos_client.hpp"

namespace tlsmux::test {
namespace {

int keep_busy() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::nice(kLeastPriority) == -1) return 1;
  volatile std::uint64_t turns = 0;
  while (true) turns = turns + 1;
}

}  // namespace

NeighbourRates::NeighbourRates(const Neighbourhood& place, int busy_programs) : place_(place) {
  for (int i = 0; i < busy_programs; ++i) busy_programs_.push_back(std::make_unique<ChildProcess>(keep_busy));
}

void NeighbourRates::begin() {
  began_ = Clock::now();
  answered_ = place_.neighbours_answered();
}

double NeighbourRates::rate() const {
  return static_cast<double>(place_.neighbours_answered() - answered_) /
         std::chrono::duration<double>(Clock::now() - began_).count();
}

void NeighbourRates::end() {
  const auto took = Clock::now() - began_;
  beside_per_s_.push_back(rate());
  begin();
  ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(took).count()));
  without_per_s_.push_back(rate());
}

void NeighbourRates::print() const {
  const auto ratio = bench::bootstrap_median(bench::paired_ratios(beside_per_s_, without_per_s_));
  std::printf(
      "neighbours: %.0f answers/s beside hostile clients, %.0f without, medians of %zu rounds: %.3f times as many "
      "(%.3f to %.3f)\n",
      bench::median(beside_per_s_), bench::median(without_per_s_), beside_per_s_.size(), ratio.middle, ratio.low,
      ratio.high);
}

}  // namespace tlsmux::test
