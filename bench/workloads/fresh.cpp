#include "bench/workloads/fresh.hpp"

#include <deque>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/process/farm.hpp"
#include "bench/process/interrupt.hpp"
#include "bench/workloads/contender.hpp"

namespace tlsmux::bench {
namespace {

class FreshContender {
 public:
  FreshContender(Context& context, const std::string& workload, const std::string& kind, bool resumption)
      : context_(context), system_(system_kind(kind).make()), farm_(context.ground, 1, 1, Task{}) {
    series_.workload = workload;
    series_.system = kind;
    const auto handshakes = context_.host.count().handshakes;
    system_->start(context_.ground, {.name = workload + "-" + kind, .resumption = resumption});
    // The first process leaves a session behind, for those that keep one.
    if (const auto first = farm_.run_once(*system_); !first.error_text.empty()) {
      throw std::runtime_error(first.error_text);
    }
    series_.handshakes = context_.host.count().handshakes - handshakes;
  }

  void run_slice() {
    if (series_.errors > 0) return;
    const auto services = system_->services();
    const auto processes = context_.effort.fresh_processes;
    const auto handshakes = context_.host.count().handshakes;
    const auto services_before = cpu_ns(services);
    const auto host_before = context_.host.cpu_ns();
    const auto start_ns = now_ns();
    std::vector<std::uint32_t> latencies_ns;
    std::uint64_t clients_cpu_ns = 0;
    for (std::uint32_t i = 0; i < processes; ++i) {
      const auto once = farm_.run_once(*system_);
      clients_cpu_ns += once.cpu_ns;
      if (once.error_text.empty()) {
        latencies_ns.push_back(static_cast<std::uint32_t>(once.latency_ns));
      } else {
        ++series_.errors;
        series_.error_text = once.error_text;
      }
    }
    const auto seconds = static_cast<double>(now_ns() - start_ns) / 1e9;
    const auto services_cpu_ns = cpu_ns(services) - services_before;
    Figures figures{
        .rate_per_s = processes / seconds,
        .cpu_us_per_message = static_cast<double>(clients_cpu_ns + services_cpu_ns) / processes / 1000,
        .service_cpu_us_per_message = static_cast<double>(services_cpu_ns) / processes / 1000,
        .host_cpu_us_per_message = static_cast<double>(context_.host.cpu_ns() - host_before) / processes / 1000};
    set_percentiles(figures, latencies_ns);
    series_.slices.push_back(figures);
    series_.handshakes += context_.host.count().handshakes - handshakes;
    latencies_ns_.insert(latencies_ns_.end(), latencies_ns.begin(), latencies_ns.end());
  }

  Series series() {
    series_.distribution = quantiles_of(latencies_ns_);
    return series_;
  }

 private:
  Context& context_;
  std::unique_ptr<System> system_;
  Farm farm_;
  Series series_;
  std::vector<std::uint32_t> latencies_ns_;
};

}  // namespace

void run_fresh(Context& context, const std::string& workload, bool resumption, Results& results) {
  std::deque<FreshContender> contenders;
  for (const auto& kind : context.systems) {
    if (!system_kind(kind).is_for(workload)) continue;
    context.progress.say(workload + ": starting " + kind);
    try {
      contenders.emplace_back(context, workload, kind, resumption);
    } catch (const std::runtime_error& error) {
      throw_if_interrupted();
      report_failure(context, results, workload + " without " + kind + ": " + error.what());
    }
  }
  for (std::uint32_t repeat = 1; repeat <= context.effort.repeats; ++repeat) {
    context.progress.say(workload + ": repeat " + std::to_string(repeat) + " of " +
                         std::to_string(context.effort.repeats));
    // Nobody always comes after the same one.
    if (repeat % 2 == 1) {
      for (auto& contender : contenders) contender.run_slice();
    } else {
      for (auto& contender : std::views::reverse(contenders)) contender.run_slice();
    }
  }
  for (auto& contender : contenders) {
    results.series.push_back(contender.series());
    const auto& series = results.series.back();
    if (series.errors > 0) report_failure(context, results, workload + ", " + series.system + ": " + series.error_text);
  }
}

}  // namespace tlsmux::bench
