#include "bench/report/rows_json.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace tlsmux::bench {
namespace {

using Json = nlohmann::ordered_json;

// As many digits as mean anything.
double rounded(double value) { return std::round(value * 1000) / 1000; }

Json or_null(const std::optional<double>& value) { return value ? Json(rounded(*value)) : Json(nullptr); }

Json figures_json(const Figures& figures) {
  return {{"p50_us", rounded(figures.p50_us)},
          {"p99_us", rounded(figures.p99_us)},
          {"p999_us", rounded(figures.p999_us)},
          {"rate_per_s", rounded(figures.rate_per_s)},
          {"megabytes_per_s", rounded(figures.megabytes_per_s)},
          {"cpu_us_per_message", rounded(figures.cpu_us_per_message)},
          {"service_cpu_us_per_message", rounded(figures.service_cpu_us_per_message)},
          {"host_cpu_us_per_message", rounded(figures.host_cpu_us_per_message)}};
}

Figures medians_of(const Series& series) {
  Figures medians;
  for (const auto member :
       {&Figures::p50_us, &Figures::p99_us, &Figures::p999_us, &Figures::rate_per_s, &Figures::megabytes_per_s,
        &Figures::cpu_us_per_message, &Figures::service_cpu_us_per_message, &Figures::host_cpu_us_per_message}) {
    medians.*member = median_of(series, member);
  }
  return medians;
}

}  // namespace

std::string rows_json(const Results& results) {
  Json rows = Json::array();
  for (const auto& series : results.series) {
    Json row = {{"workload", series.workload}, {"system", series.system}};
    row.update(figures_json(medians_of(series)));
    row["private_dirty_kb_per_client"] = or_null(series.private_dirty_kb_per_client);
    row["idle_cpu_percent"] = or_null(series.idle_cpu_percent);
    row["handshakes"] = series.handshakes;
    row["errors"] = series.errors;
    rows.push_back(std::move(row));
  }
  return rows.dump(2) + "\n";
}

std::string slices_json(const Results& results) {
  Json all = Json::array();
  for (const auto& series : results.series) {
    Json slices = Json::array();
    for (const auto& slice : series.slices) slices.push_back(figures_json(slice));
    Json distribution = Json::array();
    for (const auto& point : series.distribution) distribution.push_back({point.fraction, rounded(point.latency_us)});
    all.push_back({{"workload", series.workload},
                   {"system", series.system},
                   {"clients", series.clients},
                   {"slices", std::move(slices)},
                   {"distribution", std::move(distribution)}});
  }
  return all.dump() + "\n";
}

}  // namespace tlsmux::bench
