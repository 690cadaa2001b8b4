#include "tests/demo/tally.hpp"

#include <algorithm>
#include <cmath>

namespace tlsmux::demo {

void Tally::add(const std::vector<LedgerEntry>& entries) {
  for (const auto& entry : entries) {
    if (entry.fate == Fate::unsubmitted) continue;
    ++requests;
    switch (entry.fate) {
      case Fate::answered:
        ++answered;
        latencies_us.push_back(entry.latency_us);
        break;
      case Fate::not_sent:
        ++not_sent;
        ++not_sent_reasons[entry.reason];
        break;
      case Fate::maybe_sent:
        ++maybe_sent;
        ++maybe_sent_reasons[entry.reason];
        break;
      case Fate::open:
      case Fate::unsubmitted: ++open; break;
    }
  }
}

double Tally::percentile_ms(double q) const {
  if (latencies_us.empty()) return 0;
  auto sorted = latencies_us;
  const auto count = static_cast<double>(sorted.size());
  const auto rank = static_cast<std::ptrdiff_t>(std::clamp(std::ceil(q * count), 1.0, count)) - 1;
  std::ranges::nth_element(sorted, sorted.begin() + rank);
  return sorted[static_cast<std::size_t>(rank)] / 1000.0;
}

}  // namespace tlsmux::demo
