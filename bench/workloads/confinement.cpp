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

}  // namespace

void run_confinement(Context& context, Results& results) {
  auto pair = context;
  std::erase_if(pair.systems, [](const auto& kind) { return kind != "tlsmux" && kind != "tlsmux_unconfined"; });
  for (const auto& scene : scenes(context.effort)) {
    SteadyPlan plan{.workload = "confinement_" + scene.name, .task = scene.task, .entrants = {}};
    for (const auto& kind : pair.systems) {
      plan.entrants.push_back({.kind = kind, .label = kind, .demand = scene.demand, .active = scene.active});
    }
    run_steady(pair, plan, results);
  }
  run_fresh(pair, "confinement_fresh", false, results);
}

}  // namespace tlsmux::bench
