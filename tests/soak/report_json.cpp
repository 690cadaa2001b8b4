// The series as JSON: numbers under fixed names, so it is written by hand.

#include <fstream>

#include "tests/soak/report.hpp"

namespace tlsmux::soak {
namespace {

void write_sample(std::ofstream& file, const Sample& sample) {
  const auto& tally = sample.tally;
  const auto us = [&](double share) { return shm::percentile(sample.latency, share) / 1000; };
  file << "  {\"at_s\": " << sample.quiet.at_s << ", \"engine_pid\": " << sample.quiet.engine_pid
       << ", \"requests\": " << tally.requests << ", \"answered\": " << tally.answered
       << ", \"not_sent\": " << tally.not_sent << ", \"maybe_sent\": " << tally.maybe_sent
       << ", \"refused\": " << tally.refused << ", \"received\": " << tally.received
       << ", \"false_outcomes\": " << tally.false_outcomes << ", \"faults\": " << sample.faults
       << ", \"latency_us\": {\"p50\": " << us(0.5) << ", \"p99\": " << us(0.99) << ", \"p999\": " << us(0.999) << "}";
  for (const auto& resource : resources()) file << ", \"" << resource.name << "\": " << resource.figure(sample.quiet);
  file << "}";
}

}  // namespace

void Report::write_json(const std::string& path, std::uint64_t seed, const std::vector<test::Fault>& faults) const {
  std::ofstream file(path);
  file << "{\"seed\": " << seed << ",\n\"faults\": {";
  for (std::size_t i = 0; i < faults.size(); ++i) {
    file << (i == 0 ? "" : ", ") << "\"" << faults[i].name << "\": " << faults[i].times;
  }
  file << "},\n\"verdicts\": [";
  bool is_first = true;
  for (const auto& verdict : verdicts()) {
    const auto& trend = verdict.trend;
    file << (is_first ? "\n" : ",\n") << "  {\"resource\": \"" << verdict.resource->name
         << "\", \"engine_pid\": " << verdict.engine_pid << ", \"minutes\": " << verdict.minutes
         << ", \"figures\": " << verdict.figures << ", \"first\": " << trend.first << ", \"middle\": " << trend.middle
         << ", \"last\": " << trend.last << ", \"grows\": " << (trend.grows ? "true" : "false") << "}";
    is_first = false;
  }
  file << "],\n\"series\": [";
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    file << (i == 0 ? "\n" : ",\n");
    write_sample(file, samples_[i]);
  }
  file << "]}\n";
}

}  // namespace tlsmux::soak
