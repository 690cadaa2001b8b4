#include "bench/report/targets.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::bench {
namespace {

std::vector<std::string> systems_of(Rival rival) {
  switch (rival) {
    case Rival::openssl: return {"openssl"};
    case Rival::direct: return {"openssl", "mbedtls"};
    case Rival::sidecar: return {"stunnel", "haproxy", "nginx"};
    case Rival::small_crowd: return {"tlsmux_32_clients"};
    case Rival::cache_line: return {"cache_line"};
    case Rival::eventfd: return {"eventfd"};
    case Rival::mbedtls: return {"mbedtls"};
    case Rival::ipsec_mb: return {"ipsec_mb"};
    case Rival::unconfined: return {"tlsmux_unconfined"};
    case Rival::other_build: return {"tlsmux_other"};
    case Rival::port_scan: return {"scan_one_socket"};
  }
  return {};
}

const Series* best_of(const Results& results, const Target& target) {
  const Series* best = nullptr;
  for (const auto& system : systems_of(target.rival)) {
    const auto* series = results.find(target.workload, system);
    if (series == nullptr || series->errors > 0) continue;
    const auto is_better = [&](double a, double b) { return target.bound == Bound::at_most ? a < b : a > b; };
    if (best == nullptr || is_better(median_of(*series, target.figure), median_of(*best, target.figure))) best = series;
  }
  return best;
}

Verdict judge(const Results& results, const Target& target) {
  Verdict verdict;
  verdict.target = &target;
  const auto* ours = results.find(target.workload, target.system);
  const auto* theirs = best_of(results, target);
  if (ours == nullptr || theirs == nullptr) return verdict;
  verdict.rival = theirs->system;
  verdict.ratio = bootstrap_median(paired_ratios(values_of(*ours, target.figure), values_of(*theirs, target.figure)));
  const bool holds =
      target.bound == Bound::at_most ? verdict.ratio.middle <= target.factor : verdict.ratio.middle >= target.factor;
  verdict.is_met = holds && ours->errors == 0;
  return verdict;
}

}  // namespace

const std::vector<Target>& targets() {
  using enum Bound;
  static const std::vector<Target> all = {
      {"warm", "tlsmux_latency", "p50", &Figures::p50_us, Rival::sidecar, at_most, 0.6},
      {"warm", "tlsmux_latency", "p50", &Figures::p50_us, Rival::direct, at_most, 1.0},
      {"warm", "tlsmux", "p50", &Figures::p50_us, Rival::direct, at_most, 1.4},
      {"farm", "tlsmux", "rate", &Figures::rate_per_s, Rival::direct, at_least, 5},
      {"farm", "tlsmux", "rate", &Figures::rate_per_s, Rival::sidecar, at_least, 5},
      {"farm", "tlsmux", "p99", &Figures::p99_us, Rival::direct, at_most, 0.2},
      {"farm", "tlsmux", "p99", &Figures::p99_us, Rival::sidecar, at_most, 0.2},
      {"pipeline", "tlsmux", "rate", &Figures::rate_per_s, Rival::direct, at_least, 2},
      {"pipeline", "tlsmux", "rate", &Figures::rate_per_s, Rival::sidecar, at_least, 4},
      {"fresh", "tlsmux", "p50", &Figures::p50_us, Rival::direct, at_most, 1.0 / 8},
      {"fresh_no_resumption", "tlsmux", "p50", &Figures::p50_us, Rival::direct, at_most, 1.0 / 20},
      {"crowd", "tlsmux", "cpu per message", &Figures::cpu_us_per_message, Rival::small_crowd, at_most, 1.2},
      {"bulk", "tlsmux", "rate", &Figures::rate_per_s, Rival::openssl, at_least, 1.3},
      {"bulk", "tlsmux", "rate", &Figures::rate_per_s, Rival::sidecar, at_least, 2},
      {"record_seal_300x1", "tlsmux", "time", &Figures::p50_us, Rival::mbedtls, at_most, 0.1},
      {"record_open_300x1", "tlsmux", "time", &Figures::p50_us, Rival::mbedtls, at_most, 0.1},
      {"record_seal_300x1", "tlsmux", "time", &Figures::p50_us, Rival::ipsec_mb, at_most, 1.5},
      {"record_open_300x1", "tlsmux", "time", &Figures::p50_us, Rival::ipsec_mb, at_most, 1.5},
      {"record_seal_300x16", "tlsmux", "time", &Figures::p50_us, Rival::ipsec_mb, at_most, 1.5},
      {"record_open_300x16", "tlsmux", "time", &Figures::p50_us, Rival::ipsec_mb, at_most, 1.5},
      {"ring", "ring_awake", "p50", &Figures::p50_us, Rival::cache_line, at_most, 3},
      {"ring", "ring_asleep", "p50", &Figures::p50_us, Rival::eventfd, at_most, 1.3},
      {"ports", "tlsmux_leased", "rate", &Figures::rate_per_s, Rival::port_scan, at_least, 300},
      {"ports", "tlsmux_asked", "rate", &Figures::rate_per_s, Rival::port_scan, at_least, 30},
      {"mix", "tlsmux", "p50", &Figures::p50_us, Rival::direct, at_most, 1.03},
      {"mix", "tlsmux", "p99", &Figures::p99_us, Rival::direct, at_most, 1.05},
      {"confinement_warm", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_farm", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_pipeline", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_crowd", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_bulk", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_mix", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_fresh", "tlsmux", "rate", &Figures::rate_per_s, Rival::unconfined, at_least, 0.97},
      {"confinement_warm", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_farm", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_pipeline", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_crowd", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_bulk", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_mix", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
      {"confinement_fresh", "tlsmux", "rate", &Figures::rate_per_s, Rival::other_build, at_least, 0.97},
  };
  return all;
}

std::vector<Verdict> judge(const Results& results) {
  std::vector<Verdict> verdicts;
  for (const auto& target : targets()) {
    if (!results.has(target.workload)) continue;
    auto verdict = judge(results, target);
    const bool was_wanted = target.rival != Rival::other_build || !verdict.rival.empty();
    if (was_wanted) verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

}  // namespace tlsmux::bench
