#include "bench/workloads/confinement.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/workloads/fresh.hpp"
#include "bench/workloads/steady.hpp"

namespace tlsmux::bench {
namespace {

// As the workload of the same name has it.
struct Scene {
  std::string name;
  Task task;
  Demand demand;
  std::uint32_t active = 1;
};

std::vector<Scene> scenes(const Effort& effort) {
  constexpr std::uint32_t kBulkBytes = 16 * 1024;
  constexpr std::uint32_t kMixBytesMax = 4096;
  return {
      {.name = "warm", .task = {}, .demand = {.name = ""}},
      {.name = "farm", .task = {}, .demand = {.name = "", .clients = 32}, .active = 32},
      {.name = "pipeline",
       .task = {.in_flight = 64},
       .demand = {.name = "", .clients = 4, .in_flight = 64},
       .active = 4},
      {.name = "crowd",
       .task = {},
       .demand = {.name = "", .clients = effort.crowd_clients, .sessions = 100},
       .active = 32},
      {.name = "bulk",
       .task = {.message_bytes_min = kBulkBytes, .message_bytes_max = kBulkBytes, .in_flight = 8},
       .demand = {.name = "", .in_flight = 8, .message_bytes_max = kBulkBytes}},
      {.name = "mix",
       .task = {.message_bytes_min = 100, .message_bytes_max = kMixBytesMax, .delay_us_min = 500, .delay_us_max = 5000},
       .demand = {.name = "", .clients = 100, .message_bytes_max = kMixBytesMax},
       .active = 10},
  };
}

// One set of engines, started in the order of `context.systems`.
void run_sitting(Context& context, Results& results) {
  for (const auto& scene : scenes(context.effort)) {
    SteadyPlan plan{.workload = "confinement_" + scene.name, .task = scene.task, .entrants = {}};
    for (const auto& kind : context.systems) {
      plan.entrants.push_back({.kind = kind, .label = kind, .demand = scene.demand, .active = scene.active});
    }
    run_steady(context, plan, results);
  }
  run_fresh(context, "confinement_fresh", false, results);
}

}  // namespace

// The engine that is started first is a little slower than the next, even of the same program; and where its memory
// comes to lie makes a difference as long as it runs, larger than that from slice to slice. So each pair of slices has
// engines of its own, and each is first as often.
void run_confinement(Context& context, Results& results) {
  auto systems = context.systems;
  std::erase_if(systems, [](const auto& kind) {
    return kind != "tlsmux" && kind != "tlsmux_unconfined" && kind != "tlsmux_other";
  });
  auto effort = context.effort;
  effort.repeats = 1;
  for (std::uint32_t sitting = 0; sitting < context.effort.repeats; ++sitting) {
    Context part{.ground = context.ground,
                 .host = context.host,
                 .effort = effort,
                 .progress = context.progress,
                 .systems = systems,
                 .program_dirty_kb = context.program_dirty_kb};
    Results found;
    run_sitting(part, found);
    results.join(std::move(found));
    if (!systems.empty()) std::ranges::rotate(systems, systems.begin() + 1);
  }
}

}  // namespace tlsmux::bench
