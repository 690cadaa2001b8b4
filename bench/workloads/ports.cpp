#include "bench/workloads/ports.hpp"

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/ports/lease_rush.hpp"
#include "bench/ports/network.hpp"
#include "bench/ports/port_lab.hpp"
#include "bench/ports/port_ways.hpp"
#include "bench/process/interrupt.hpp"
#include "bench/workloads/contender.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint64_t kSliceShare = 10;  // a slice is that part of another workload's: there are many
constexpr int kBindsMin = 5;               // in a slice

struct Party {
  Series series;
  std::function<std::vector<std::uint32_t>(std::uint64_t slice_ns)> measure;
  std::vector<std::uint32_t> all_ns;
};

Party party(const std::string& workload, const std::string& system) {
  Party made;
  made.series.workload = workload;
  made.series.system = system;
  return made;
}

Party bind_party(const std::string& workload, PortWay way) {
  auto made = party(workload, way.name);
  made.measure = [bind = std::move(way.bind)](std::uint64_t slice_ns) {
    std::vector<std::uint32_t> times_ns;
    const auto end_ns = now_ns() + slice_ns;
    for (int binds = 0; binds < kBindsMin || now_ns() < end_ns; ++binds) {
      times_ns.push_back(static_cast<std::uint32_t>(bind()));
    }
    return times_ns;
  };
  return made;
}

Party claim_party(const PortLab& lab, std::uint32_t processes) {
  auto made = party("ports_claim", "tlsmux_leased_" + std::to_string(processes));
  made.series.clients = processes;
  made.measure = [&lab, processes](std::uint64_t slice_ns) { return claim_for(lab, processes, slice_ns); };
  return made;
}

void run_slice(Party& party, std::uint64_t slice_ns) {
  auto times_ns = party.measure(slice_ns);
  party.all_ns.insert(party.all_ns.end(), times_ns.begin(), times_ns.end());
  Figures figures;
  set_percentiles(figures, times_ns);
  if (figures.p50_us > 0) figures.rate_per_s = 1e6 / figures.p50_us;
  figures.cpu_us_per_message = figures.p50_us;
  party.series.slices.push_back(figures);
}

void run_parties(Context& context, std::vector<Party> parties, Results& results) {
  const auto& name = parties.front().series.workload;
  const auto slice_ns = std::uint64_t{context.effort.slice_ms} * 1'000'000 / kSliceShare;
  for (std::uint32_t repeat = 1; repeat <= context.effort.repeats; ++repeat) {
    context.progress.say(name + ": repeat " + std::to_string(repeat) + " of " + std::to_string(context.effort.repeats));
    for (auto& one : parties) {
      run_slice(one, slice_ns);
      throw_if_interrupted();
    }
  }
  for (auto& one : parties) {
    one.series.distribution = quantiles_of(one.all_ns);
    results.series.push_back(std::move(one.series));
  }
}

void run_in_lab(Context& context, Results& results) {
  const PortLab lab(context.ground);
  for (const auto protocol : ports::kProtocols) {
    const std::string workload = protocol == ports::Protocol::tcp ? "ports" : "ports_udp";
    std::vector<Party> parties;
    for (auto& way : port_ways(lab, protocol)) parties.push_back(bind_party(workload, std::move(way)));
    run_parties(context, std::move(parties), results);
  }
  std::vector<Party> parties;
  for (const std::uint32_t processes : {1, 2, 8}) parties.push_back(claim_party(lab, processes));
  run_parties(context, std::move(parties), results);
}

}  // namespace

void run_ports(Context& context, Results& results) {
  if (const auto obstacle = kernel_pick_obstacle(); !obstacle.empty()) {
    results.remarks.push_back("ports without kernel_pick: " + obstacle);
  }
  try {
    const auto obstacle = run_in_own_network([&] { run_in_lab(context, results); });
    if (obstacle.empty()) return;
    context.progress.say("SKIPPED: ports: " + obstacle);
    results.remarks.push_back("without ports: " + obstacle);
  } catch (const std::exception& error) {
    throw_if_interrupted();
    report_failure(context, results, std::string("ports: ") + error.what());
  }
}

}  // namespace tlsmux::bench
