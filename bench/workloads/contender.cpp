#include "bench/workloads/contender.hpp"

#include <poll.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "bench/monotonic_clock.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/process/private_memory.hpp"
#include "bench/statistics.hpp"

namespace tlsmux::bench {
namespace {

// Clients begin so long before what they see counts, so that all are at work.
constexpr std::uint64_t kLeadNs = 40'000'000;
constexpr std::uint64_t kLeadPerClientNs = 1'000'000;
constexpr std::uint64_t kSamplesMax = 16'000'000;  // of all clients in one slice
constexpr std::uint64_t kSamplesOfClientMax = 1'000'000;

double us(std::uint32_t ns) { return static_cast<double>(ns) / 1000; }

}  // namespace

std::vector<Quantile> quantiles_of(std::vector<std::uint32_t>& latencies_ns) {
  std::ranges::sort(latencies_ns);
  std::vector<Quantile> quantiles;
  if (latencies_ns.empty()) return quantiles;
  for (int percent = 1; percent < 100; ++percent) {
    quantiles.push_back({.fraction = percent / 100.0, .latency_us = us(percentile(latencies_ns, percent / 100.0))});
  }
  for (const double fraction : {0.995, 0.999, 0.9995, 0.9999}) {
    quantiles.push_back({.fraction = fraction, .latency_us = us(percentile(latencies_ns, fraction))});
  }
  return quantiles;
}

void set_percentiles(Figures& figures, std::vector<std::uint32_t>& latencies_ns) {
  std::ranges::sort(latencies_ns);
  figures.p50_us = us(percentile(latencies_ns, 0.5));
  figures.p99_us = us(percentile(latencies_ns, 0.99));
  figures.p999_us = us(percentile(latencies_ns, 0.999));
}

Contender::Contender(Context& context, const std::string& workload, Entrant entrant, const Task& task)
    : context_(context),
      entrant_(std::move(entrant)),
      task_(task),
      system_(system_kind(entrant_.kind).make()),
      farm_(context.ground, entrant_.demand.clients,
            std::min(kSamplesOfClientMax, kSamplesMax / entrant_.demand.clients), task) {
  series_.workload = workload;
  series_.system = entrant_.label;
  series_.clients = entrant_.demand.clients;
  entrant_.demand.name = workload + "-" + entrant_.label;
  const auto before = context_.host.count();
  system_->start(context_.ground, entrant_.demand);
  const auto services_kb = private_dirty_kb(system_->services());
  farm_.start(*system_);
  const auto clients = entrant_.demand.clients;
  const auto own_kb = static_cast<double>(private_dirty_kb(farm_.pids())) / clients;
  const auto grown_kb = static_cast<double>(private_dirty_kb(system_->services())) - static_cast<double>(services_kb);
  series_.private_dirty_kb_per_client =
      own_kb - static_cast<double>(context_.program_dirty_kb) + std::max(0.0, grown_kb) / clients;
  series_.handshakes = context_.host.count().handshakes - before.handshakes;
}

void Contender::run_slice() {
  if (series_.errors > 0) return;
  const auto clients = farm_.pids();
  const auto services = system_->services();
  const auto handshakes = context_.host.count().handshakes;
  const auto clients_before = cpu_ns(clients);
  const auto services_before = cpu_ns(services);
  const auto host_before = context_.host.cpu_ns();

  task_.start_ns = now_ns() + kLeadNs + entrant_.active * kLeadPerClientNs;
  task_.end_ns = task_.start_ns + std::uint64_t{context_.effort.slice_ms} * 1'000'000;
  auto slice = farm_.run_slice(task_, entrant_.active);

  const auto services_cpu = cpu_ns(services) - services_before;
  const auto clients_cpu = cpu_ns(clients) - clients_before;
  const auto host_cpu = context_.host.cpu_ns() - host_before;
  const auto seconds = static_cast<double>(task_.end_ns - task_.start_ns) / 1e9;
  const auto answered = static_cast<double>(std::max<std::uint64_t>(slice.answered, 1));
  Figures figures{.rate_per_s = static_cast<double>(slice.in_window) / seconds,
                  .megabytes_per_s = static_cast<double>(slice.bytes_in_window) / seconds / 1e6,
                  .cpu_us_per_message = static_cast<double>(clients_cpu + services_cpu) / answered / 1000,
                  .service_cpu_us_per_message = static_cast<double>(services_cpu) / answered / 1000,
                  .host_cpu_us_per_message = static_cast<double>(host_cpu) / answered / 1000};
  set_percentiles(figures, slice.latencies_ns);
  series_.slices.push_back(figures);
  series_.handshakes += context_.host.count().handshakes - handshakes;
  series_.errors += slice.errors;
  if (series_.error_text.empty()) series_.error_text = slice.error_text;
  latencies_ns_.insert(latencies_ns_.end(), slice.latencies_ns.begin(), slice.latencies_ns.end());
}

void Contender::measure_idleness(std::uint32_t milliseconds) {
  const auto services = system_->services();
  const auto before_ns = cpu_ns(services);
  const auto start_ns = now_ns();
  ::poll(nullptr, 0, static_cast<int>(milliseconds));
  const auto used_ns = static_cast<double>(cpu_ns(services) - before_ns);
  series_.idle_cpu_percent = 100 * used_ns / static_cast<double>(now_ns() - start_ns);
}

Series Contender::series() {
  series_.distribution = quantiles_of(latencies_ns_);
  return series_;
}

}  // namespace tlsmux::bench
