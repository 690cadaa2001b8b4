#include "bench/report/results.hpp"

#include <algorithm>
#include <utility>

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

void Results::join(Results more) {
  for (auto& one : more.series) {
    const auto known = std::ranges::find_if(
        series, [&](const Series& each) { return each.workload == one.workload && each.system == one.system; });
    if (known == series.end()) {
      series.push_back(std::move(one));
      continue;
    }
    known->slices.insert(known->slices.end(), one.slices.begin(), one.slices.end());
    known->distribution.clear();
    known->handshakes += one.handshakes;
    known->errors += one.errors;
    if (known->error_text.empty()) known->error_text = std::move(one.error_text);
  }
  remarks.insert(remarks.end(), more.remarks.begin(), more.remarks.end());
  has_failures = has_failures || more.has_failures;
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
