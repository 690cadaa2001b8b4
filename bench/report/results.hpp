#pragma once

// What was measured.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tlsmux::bench {

// Of one slice of one system.
struct Figures {
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  double rate_per_s = 0;
  double megabytes_per_s = 0;             // of messages, in one direction
  double cpu_us_per_message = 0;          // of clients and what runs between them and the host
  double service_cpu_us_per_message = 0;  // of that, what runs between them
  double host_cpu_us_per_message = 0;
};

// A point of the distribution of latencies: so many of all are no slower.
struct Quantile {
  double fraction = 0;
  double latency_us = 0;
};

// All of one system in one workload. The slices of all systems of a workload are interleaved: those of the same number
// were measured right after each other, and only they are compared.
struct Series {
  std::string workload;
  std::string system;
  std::uint32_t clients = 1;
  std::vector<Figures> slices;
  std::vector<Quantile> distribution;  // of all slices together
  std::optional<double> private_dirty_kb_per_client;
  std::optional<double> idle_cpu_percent;  // of one processor, what runs beside the clients, while all sleep
  std::uint64_t handshakes = 0;            // seen by the host, from the start of the system on
  std::uint64_t errors = 0;
  std::string error_text;  // of the first error
};

// One member of Figures over all slices.
std::vector<double> values_of(const Series& series, double Figures::* figure);
double median_of(const Series& series, double Figures::* figure);

struct Results {
  unsigned host_threads = 1;
  std::vector<Series> series;
  std::vector<std::string> remarks;  // what was left out, and why
  bool has_failures = false;         // something did not start, or an answer was wrong

  [[nodiscard]] bool has(const std::string& workload) const;
  // nullptr if it was not measured.
  [[nodiscard]] const Series* find(const std::string& workload, const std::string& system) const;
  // What was measured another time, of the same systems in the same workloads or of others. A distribution of latencies
  // is not known of both together: there is none.
  void join(Results more);
  // A remark for each system whose rate was bounded by the host, not by itself.
  void remark_on_busy_host();
};

}  // namespace tlsmux::bench
