#include <algorithm>

#include "bench/workloads/confinement.hpp"
#include "bench/workloads/fresh.hpp"
#include "bench/workloads/ports.hpp"
#include "bench/workloads/record.hpp"
#include "bench/workloads/ring.hpp"
#include "bench/workloads/steady.hpp"
#include "bench/workloads/workload.hpp"
#include "bench/workloads/wrapper.hpp"

namespace tlsmux::bench {
namespace {

// The same demand of all systems that were asked for.
std::vector<Entrant> all_systems(const Context& context, const Demand& demand, std::uint32_t active) {
  std::vector<Entrant> entrants;
  for (const auto& kind : context.systems) {
    if (!system_kind(kind).only_in.empty()) continue;
    entrants.push_back({.kind = kind, .label = kind, .demand = demand, .active = active});
  }
  return entrants;
}

bool is_wanted(const Context& context, const std::string& system) {
  return std::ranges::find(context.systems, system) != context.systems.end();
}

void run_warm(Context& context, Results& results) {
  SteadyPlan plan{.workload = "warm", .task = {}, .entrants = {}};
  for (const auto& kind : context.systems) {
    if (system_kind(kind).is_for("warm"))
      plan.entrants.push_back({.kind = kind, .label = kind, .demand = {.name = ""}});
  }
  run_steady(context, plan, results);
}

SteadyPlan farm_of(const Context& context, const std::string& workload, std::uint32_t clients) {
  return {
      .workload = workload, .task = {}, .entrants = all_systems(context, {.name = "", .clients = clients}, clients)};
}

void run_farm(Context& context, Results& results) { run_steady(context, farm_of(context, "farm", 32), results); }

// For the plots over the number of processes, which nothing is judged by.
void run_farms(Context& context, Results& results) {
  for (const auto clients : context.effort.farm_sizes) {
    auto plan = farm_of(context, "farm_" + std::to_string(clients), clients);
    plan.repeats = std::max(1U, context.effort.repeats / 3);
    run_steady(context, plan, results);
  }
}

void run_pipeline_of(Context& context, const std::string& workload, bool is_batched, Results& results) {
  constexpr std::uint32_t kClients = 4;
  constexpr std::uint32_t kInFlight = 64;
  run_steady(context,
             {.workload = workload,
              .task = {.in_flight = kInFlight, .is_batched = is_batched ? 1U : 0U},
              .entrants = all_systems(context, {.name = "", .clients = kClients, .in_flight = kInFlight}, kClients)},
             results);
}

void run_pipeline(Context& context, Results& results) { run_pipeline_of(context, "pipeline", false, results); }
void run_pipeline_batched(Context& context, Results& results) {
  run_pipeline_of(context, "pipeline_batched", true, results);
}

void run_fresh_resumed(Context& context, Results& results) { run_fresh(context, "fresh", true, results); }
void run_fresh_full(Context& context, Results& results) { run_fresh(context, "fresh_no_resumption", false, results); }

// A thousand attached clients cost what 32 do: the same 32 work in each; and the memory of a thousand direct connections.
void run_crowd(Context& context, Results& results) {
  constexpr std::uint32_t kActive = 32;
  const auto crowd = context.effort.crowd_clients;
  const auto direct = std::max(kActive, context.effort.crowd_direct_clients);
  SteadyPlan plan{.workload = "crowd", .task = {}, .entrants = {}, .measures_idleness = true};
  if (is_wanted(context, "tlsmux")) {
    plan.entrants.push_back({.kind = "tlsmux",
                             .label = "tlsmux",
                             .demand = {.name = "", .clients = crowd, .sessions = 100},
                             .active = kActive});
    plan.entrants.push_back({.kind = "tlsmux",
                             .label = "tlsmux_32_clients",
                             .demand = {.name = "", .clients = kActive, .sessions = 2},
                             .active = kActive});
  }
  if (is_wanted(context, "openssl")) {
    plan.entrants.push_back(
        {.kind = "openssl", .label = "openssl", .demand = {.name = "", .clients = direct}, .active = kActive});
  }
  run_steady(context, plan, results);
}

void run_bulk(Context& context, Results& results) {
  constexpr std::uint32_t kInFlight = 8;
  constexpr std::uint32_t kBytes = 16 * 1024;
  run_steady(context,
             {.workload = "bulk",
              .task = {.message_bytes_min = kBytes, .message_bytes_max = kBytes, .in_flight = kInFlight},
              .entrants = all_systems(context, {.name = "", .in_flight = kInFlight, .message_bytes_max = kBytes}, 1)},
             results);
}

// What a day looks like: most clients sleep, the host takes its time.
void run_mix(Context& context, Results& results) {
  constexpr std::uint32_t kClients = 100;
  constexpr std::uint32_t kActive = 10;
  constexpr std::uint32_t kBytesMax = 4096;
  run_steady(
      context,
      {.workload = "mix",
       .task = {.message_bytes_min = 100, .message_bytes_max = kBytesMax, .delay_us_min = 500, .delay_us_max = 5000},
       .entrants = all_systems(context, {.name = "", .clients = kClients, .message_bytes_max = kBytesMax}, kActive)},
      results);
}

}  // namespace

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"warm", "1 process, one request at a time", run_warm},
      {"farm", "32 processes, one at a time each", run_farm},
      {"farms", "1 to 64 processes, one at a time each", run_farms},
      {"pipeline", "4 processes, 64 in flight each", run_pipeline},
      {"pipeline_batched", "the same, requests handed over in batches", run_pipeline_batched},
      {"fresh", "a new process for each request, TLS resumption on", run_fresh_resumed},
      {"fresh_no_resumption", "a new process for each request, TLS resumption off", run_fresh_full},
      {"crowd", "1,000 attached clients, 32 at work, 100 sessions; beside 32 clients and 2 sessions", run_crowd},
      {"bulk", "1 process, messages of 16 KiB, 8 in flight", run_bulk},
      {"record", "sealing and opening alone, 64 bytes to 16 KiB, in batches of 1, 4 and 16", run_record},
      {"ring", "request and answer through the rings with no TLS, awake and asleep, beside what the machine can do",
       run_ring},
      {"ports", "a port of one's own where 999 of 1,000 are taken, by TCP and UDP; a claim alone", run_ports},
      {"wrapper", "unmodified programs on OpenSSL under libtlsmux_ssl.so, new ones and one that stays; streams",
       run_wrapper},
      {"confinement", "warm, farm, pipeline, crowd, bulk, mix and fresh beside an engine that is not confined",
       run_confinement},
      {"mix", "100 to 4,096 bytes, 90 of 100 clients asleep, a host that takes 0.5 to 5 ms", run_mix},
  };
  return all;
}

}  // namespace tlsmux::bench
