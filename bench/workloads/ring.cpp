#include "bench/workloads/ring.hpp"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "bench/process/interrupt.hpp"
#include "bench/ring/pair.hpp"
#include "bench/workloads/contender.hpp"

namespace tlsmux::bench {
namespace {

struct Party {
  Exchange exchange;
  Series series;
  std::vector<std::uint32_t> round_trips_ns;
};

Party party(Exchange exchange, const std::string& name) {
  Party made{.exchange = exchange, .series = {}, .round_trips_ns = {}};
  made.series.workload = "ring";
  made.series.system = name;
  return made;
}

void run_slice(Party& party, std::uint32_t slice_ms) {
  auto slice = exchange_for(party.exchange, std::uint64_t{slice_ms} * 1'000'000);
  Figures figures{.rate_per_s = static_cast<double>(slice.trips) * 1000 / slice_ms,
                  .cpu_us_per_message = static_cast<double>(slice.cpu_ns) / static_cast<double>(slice.trips) / 1000};
  set_percentiles(figures, slice.round_trips_ns);
  party.series.slices.push_back(figures);
  party.series.errors += slice.errors;
  if (slice.errors > 0) party.series.error_text = "an answer was not what it should be";
  party.round_trips_ns.insert(party.round_trips_ns.end(), slice.round_trips_ns.begin(), slice.round_trips_ns.end());
}

}  // namespace

void run_ring(Context& context, Results& results) {
  std::array parties = {party(Exchange::ring_awake, "ring_awake"), party(Exchange::cache_line, "cache_line"),
                        party(Exchange::ring_asleep, "ring_asleep"), party(Exchange::eventfd, "eventfd")};
  for (std::uint32_t repeat = 1; repeat <= context.effort.repeats; ++repeat) {
    context.progress.say("ring: repeat " + std::to_string(repeat) + " of " + std::to_string(context.effort.repeats));
    for (auto& one : parties) run_slice(one, context.effort.slice_ms);
    throw_if_interrupted();
  }
  for (auto& one : parties) {
    if (one.series.errors > 0)
      report_failure(context, results, "ring, " + one.series.system + ": " + one.series.error_text);
    one.series.distribution = quantiles_of(one.round_trips_ns);
    results.series.push_back(std::move(one.series));
  }
}

}  // namespace tlsmux::bench
