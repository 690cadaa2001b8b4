#pragma once

// What tlsmux is to reach, beside which system, and whether it does.

#include <string>
#include <vector>

#include "bench/report/results.hpp"
#include "bench/statistics.hpp"

namespace tlsmux::bench {

// Whom to compare with. Of several the one with the best median.
enum class Rival : std::uint8_t {
  openssl,
  direct,
  sidecar,
  small_crowd,
  cache_line,
  eventfd,
  mbedtls,
  ipsec_mb,
  port_scan,
  unconfined,
  other_build
};

enum class Bound : std::uint8_t { at_most, at_least };

struct Target {
  std::string workload;
  std::string system;  // of ours
  std::string text;    // of the figure
  double Figures::* figure;
  Rival rival;
  Bound bound;
  double factor;  // of the rival's
};

const std::vector<Target>& targets();

struct Verdict {
  const Target* target = nullptr;
  std::string rival;  // the system it was compared with; empty: it was not measured
  Interval ratio;     // ours to theirs
  bool is_met = false;
};

// Of all targets of the workloads that were run.
std::vector<Verdict> judge(const Results& results);

}  // namespace tlsmux::bench
