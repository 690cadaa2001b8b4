#include "tests/hostile/neighbour_rates.hpp"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "bench/statistics.hpp"
#include "tests/broker/process.hpp"
#include "tests/hostile/chaos_client.hpp"

namespace tlsmux::test {
namespace {

int keep_busy() {
  if (::nice(kLeastPriority) == -1) return 1;
  for (volatile std::uint64_t turns = 0;; turns = turns + 1) {
  }
}

}  // namespace

void NeighbourRates::begin() {
  began_ = Clock::now();
  answered_ = place_.neighbours_answered();
}

void NeighbourRates::end() {
  const auto took = Clock::now() - began_;
  end(hostile);
  // What comes second in one round comes third in the next.
  const bool is_even = per_s_[hostile].size() % 2 == 0;
  wait(is_even ? nobody : busy, took);
  wait(is_even ? busy : nobody, took);
}

void NeighbourRates::wait(Company company, Clock::duration time) {
  std::vector<std::unique_ptr<ChildProcess>> programs;
  for (int i = 0; company == busy && i < busy_programs_; ++i) {
    programs.push_back(std::make_unique<ChildProcess>(keep_busy));
  }
  begin();
  ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(time).count()));
  end(company);
}

void NeighbourRates::end(Company company) {
  const auto seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  per_s_[company].push_back(static_cast<double>(place_.neighbours_answered() - answered_) / seconds);
}

void NeighbourRates::print() const {
  std::printf(
      "neighbours, median of %zu rounds: %.0f answers/s beside hostile clients, %.0f beside nobody, %.0f beside busy "
      "programs\n",
      per_s_[hostile].size(), bench::median(per_s_[hostile]), bench::median(per_s_[nobody]),
      bench::median(per_s_[busy]));
  print_ratio("nobody", nobody);
  print_ratio("busy programs", busy);
}

void NeighbourRates::print_ratio(const char* words, Company company) const {
  const auto ratio = bench::bootstrap_median(bench::paired_ratios(per_s_[hostile], per_s_[company]));
  std::printf("neighbours: beside hostile clients %.3f times (%.3f to %.3f) what is beside %s\n", ratio.middle,
              ratio.low, ratio.high, words);
}

}  // namespace tlsmux::test
