#include "bench/workloads/steady.hpp"

#include <deque>
#include <ranges>
#include <stdexcept>

#include "bench/process/interrupt.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint32_t kIdleMs = 1000;

}  // namespace

void run_steady(Context& context, const SteadyPlan& plan, Results& results) {
  std::deque<Contender> contenders;
  for (const auto& entrant : plan.entrants) {
    context.progress.say(plan.workload + ": starting " + entrant.label + " with " +
                         std::to_string(entrant.demand.clients) +
                         (entrant.demand.clients == 1 ? " client" : " clients"));
    try {
      auto& contender = contenders.emplace_back(context, plan.workload, entrant, plan.task);
      if (plan.measures_idleness) contender.measure_idleness(kIdleMs);
    } catch (const std::runtime_error& error) {
      throw_if_interrupted();
      report_failure(context, results, plan.workload + " without " + entrant.label + ": " + error.what());
    }
  }
  const auto repeats = plan.repeats > 0 ? plan.repeats : context.effort.repeats;
  for (std::uint32_t repeat = 1; repeat <= repeats; ++repeat) {
    context.progress.say(plan.workload + ": repeat " + std::to_string(repeat) + " of " + std::to_string(repeats));
    // Nobody always comes after the same one.
    if (repeat % 2 == 1) {
      for (auto& contender : contenders) contender.run_slice();
    } else {
      for (auto& contender : std::views::reverse(contenders)) contender.run_slice();
    }
  }
  for (auto& contender : contenders) {
    auto series = contender.series();
    if (series.errors > 0) {
      report_failure(context, results, plan.workload + ", " + series.system + ": " + series.error_text);
    }
    results.series.push_back(std::move(series));
  }
}

}  // namespace tlsmux::bench
