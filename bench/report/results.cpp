#include "bench/report/results.hpp"

#include <algorithm>

#include "bench/statistics.hpp"

namespace tlsmux::bench {

std::vector<double> values_of(const Series& series, double Figures::* figure) {
  std::vector<double> values;
  for (const auto& slice : series.slices) values.push_back(slice.*figure);
  return values;
}

double median_of(const Series& series, double Figures::* figure) { return median(values_of(series, figure)); }

void Results::remark_on_busy_host() {
  constexpr double kBusy = 0.85;
  for (const auto& one : series) {
    const auto used = median_of(one, &Figures::rate_per_s) * median_of(one, &Figures::host_cpu_us_per_message) / 1e6;
    if (used < kBusy * host_threads) continue;
    remarks.push_back(one.workload + ", " + one.system +
                      ": the host was busy all the time, so this system could do more (see --host-threads)");
  }
}

bool Results::has(const std::string& workload) const {
  return std::ranges::find(series, workload, &Series::workload) != series.end();
}

const Series* Results::find(const std::string& workload, const std::string& system) const {
  for (const auto& one : series) {
    if (one.workload == workload && one.system == system) return &one;
  }
  return nullptr;
}

}  // namespace tlsmux::bench
