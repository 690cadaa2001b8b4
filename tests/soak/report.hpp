#pragma once

// What the soak shows: a line for each minute, a table at the end, all of it as JSON; and the judgement.

#include <cstdint>
#include <string>
#include <vector>

#include "shm/latency_histogram.hpp"
#include "tests/soak/board.hpp"
#include "tests/soak/growth.hpp"
#include "tests/soak/quiet_point.hpp"
#include "tests/soak/settlement.hpp"
#include "tests/system/fault_loop.hpp"

namespace tlsmux::soak {

// One phase, and the quiet after it.
struct Sample {
  QuietPoint quiet;
  Tally tally;                       // since the beginning
  std::uint64_t faults = 0;          // since the beginning
  std::uint64_t memory_refused = 0;  // in this phase: shards that went without registered memory
  shm::LatencyCounts latency{};      // of this phase
};

// One of the figures that must not grow.
struct Resource {
  const char* name;
  double (*figure)(const QuietPoint&);
  double tolerance;
  bool outlives_engine;  // else each engine begins anew
};
const std::vector<Resource>& resources();

// Of one resource, in the life of one engine or of what outlives it.
struct Verdict {
  const Resource* resource = nullptr;
  pid_t engine_pid = -1;  // -1: it outlives engines
  double minutes = 0;
  std::size_t figures = 0;
  Trend trend;
};

class Report {
 public:
  explicit Report(double line_every_s) : line_every_s_(line_every_s) {}

  // Prints a line when it is time for one.
  void add(const Sample& sample);
  // Prints the table.
  void print_end(const std::vector<test::Fault>& faults, const DeedCounts& deeds) const;
  void write_json(const std::string& path, std::uint64_t seed, const std::vector<test::Fault>& faults) const;

  // Of all resources and all lives that were long enough.
  [[nodiscard]] std::vector<Verdict> verdicts() const;
  [[nodiscard]] std::size_t engines() const { return lives().size(); }

 private:
  [[nodiscard]] std::vector<std::vector<const Sample*>> lives() const;
  void print_line();
  void print_memory_refused() const;
  void print_latency() const;
  void print_verdicts() const;

  double line_every_s_;
  std::vector<Sample> samples_;
  std::size_t printed_ = 0;  // samples
};

std::string words_of(const Verdict& verdict);

}  // namespace tlsmux::soak
