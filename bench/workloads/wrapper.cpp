#include "bench/workloads/wrapper.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/process/child_process.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/process/interrupt.hpp"
#include "bench/systems/wrapper.hpp"
#include "bench/workloads/contender.hpp"
#include "bench/workloads/steady.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

constexpr int kPatienceMs = 60'000;  // only ever used up by a failure

// One way of the same program to the host.
struct Way {
  std::string name;
  std::optional<std::pair<SharedKind, SharedBy>> engine;  // none: the program is alone, or left alone
  bool is_preloaded = false;
  bool resumes = false;
};

const std::vector<Way>& ways_to_host() {
  using enum SharedKind;
  static const std::vector<Way> all = {
      {.name = "own", .engine = {}},
      {.name = "own_resumed", .engine = {}, .resumes = true},
      {.name = "own_preloaded", .engine = {}, .is_preloaded = true},
      {.name = "own_after_asking", .engine = std::pair(messages, SharedBy::no_rule), .is_preloaded = true},
      {.name = "shared", .engine = std::pair(messages, SharedBy::address), .is_preloaded = true},
      {.name = "shared_by_name", .engine = std::pair(messages, SharedBy::name), .is_preloaded = true},
      {.name = "shared_http1", .engine = std::pair(http1, SharedBy::address), .is_preloaded = true},
  };
  return all;
}

// What a process said and took.
struct Once {
  std::uint64_t exchange_ns = 0;  // from connect to the answer
  std::uint64_t process_ns = 0;   // from before its start to after its end
  std::uint64_t cpu_ns = 0;
};

class WayContender {
 public:
  WayContender(Context& context, const Way& way) : context_(context), way_(way) {
    exchange_.workload = "wrapper";
    process_.workload = "wrapper_process";
    exchange_.system = process_.system = way.name;
    const auto handshakes = context.host.count().handshakes;
    std::string target = context.ground.host_address;
    if (way.engine) {
      engine_.start(context.ground, {.name = "wrapper-" + way.name}, way.engine->first, way.engine->second);
      target = engine_.target();
      environment_ = engine_.environment();
    } else if (way.is_preloaded) {
      environment_ = {wrapper_preload(context.ground), "TLSMUX_SSL=unshared"};
    }
    const auto colon = target.rfind(':');
    const bool is_http = way.engine && way.engine->first == SharedKind::http1;
    command_ = {context.ground.program_folder + "/tlsmux-bench-unmodified",
                target.substr(0, colon),
                target.substr(colon + 1),
                context.ground.ca_file,
                "localhost",
                way.resumes ? context.ground.folder + "/" + way.name + ".session" : "",
                is_http ? "http" : "frame"};
    run_once();  // leaves a session behind, where one is kept
    exchange_.handshakes = process_.handshakes = context.host.count().handshakes - handshakes;
  }

  void run_slice() {
    if (exchange_.errors > 0) return;
    const auto services = way_.engine ? engine_.processes() : std::vector<pid_t>{};
    const auto processes = context_.effort.wrapper_processes;
    const auto handshakes = context_.host.count().handshakes;
    const auto services_before = cpu_ns(services);
    const auto host_before = context_.host.cpu_ns();
    const auto start_ns = now_ns();
    std::vector<std::uint32_t> exchanges_ns;
    std::vector<std::uint32_t> processes_ns;
    std::uint64_t clients_cpu_ns = 0;
    try {
      for (std::uint32_t i = 0; i < processes; ++i) {
        const auto once = run_once();
        exchanges_ns.push_back(static_cast<std::uint32_t>(once.exchange_ns));
        processes_ns.push_back(static_cast<std::uint32_t>(once.process_ns));
        clients_cpu_ns += once.cpu_ns;
      }
    } catch (const std::runtime_error& error) {
      throw_if_interrupted();
      ++exchange_.errors;
      exchange_.error_text = error.what();
    }
    const auto seconds = static_cast<double>(now_ns() - start_ns) / 1e9;
    const auto services_cpu_ns = cpu_ns(services) - services_before;
    Figures figures{
        .rate_per_s = processes / seconds,
        .cpu_us_per_message = static_cast<double>(clients_cpu_ns + services_cpu_ns) / processes / 1000,
        .service_cpu_us_per_message = static_cast<double>(services_cpu_ns) / processes / 1000,
        .host_cpu_us_per_message = static_cast<double>(context_.host.cpu_ns() - host_before) / processes / 1000};
    const auto new_handshakes = context_.host.count().handshakes - handshakes;
    add(exchange_, exchange_ns_, figures, exchanges_ns, new_handshakes);
    add(process_, process_ns_, figures, processes_ns, new_handshakes);
  }

  void put_into(Results& results) {
    process_.errors = exchange_.errors;
    exchange_.distribution = quantiles_of(exchange_ns_);
    process_.distribution = quantiles_of(process_ns_);
    if (exchange_.errors > 0) {
      report_failure(context_, results, "wrapper, " + exchange_.system + ": " + exchange_.error_text);
    }
    results.series.push_back(exchange_);
  }
  [[nodiscard]] const Series& process_series() const { return process_; }

 private:
  static void add(Series& series, std::vector<std::uint32_t>& all_ns, Figures figures, std::vector<std::uint32_t>& ns,
                  std::uint64_t handshakes) {
    set_percentiles(figures, ns);
    series.slices.push_back(figures);
    series.handshakes += handshakes;
    all_ns.insert(all_ns.end(), ns.begin(), ns.end());
  }

  Once run_once() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(shm::last_error("making a pipe").message);
    const shm::UniqueFd output(ends[0]);
    shm::UniqueFd input(ends[1]);
    const auto start_ns = now_ns();
    ChildProcess process({.command = command_,
                          .environment = environment_,
                          .log_file = "",
                          .descriptors = {{input.get(), STDOUT_FILENO}}});
    const auto end = process.wait(kPatienceMs);
    Once once{.process_ns = now_ns() - start_ns};
    throw_if_interrupted();
    input.reset();
    std::array<char, 64> said{};
    const auto bytes = ::read(output.get(), said.data(), said.size());
    if (!end || end->exit_code != 0 || bytes <= 0 ||
        std::from_chars(said.data(), said.data() + bytes, once.exchange_ns).ec != std::errc{}) {
      throw std::runtime_error("the program did not end well");
    }
    once.cpu_ns = end->cpu_ns;
    return once;
  }

  Context& context_;
  const Way& way_;
  WrapperEngine engine_;
  std::vector<std::string> command_;
  std::vector<std::string> environment_;
  Series exchange_;
  Series process_;
  std::vector<std::uint32_t> exchange_ns_;
  std::vector<std::uint32_t> process_ns_;
};

void run_new_processes(Context& context, Results& results) {
  std::deque<WayContender> contenders;
  for (const auto& way : ways_to_host()) {
    context.progress.say("wrapper: starting " + way.name);
    try {
      contenders.emplace_back(context, way);
    } catch (const std::runtime_error& error) {
      throw_if_interrupted();
      report_failure(context, results, "wrapper without " + way.name + ": " + error.what());
    }
  }
  for (std::uint32_t repeat = 1; repeat <= context.effort.repeats; ++repeat) {
    context.progress.say("wrapper: repeat " + std::to_string(repeat) + " of " + std::to_string(context.effort.repeats));
    if (repeat % 2 == 1) {
      for (auto& contender : contenders) contender.run_slice();
    } else {
      for (auto& contender : std::views::reverse(contenders)) contender.run_slice();
    }
  }
  for (auto& contender : contenders) contender.put_into(results);
  for (const auto& contender : contenders) results.series.push_back(contender.process_series());
}

// One process that stays, beside a connection of its own and requests through the rings.
SteadyPlan stay(const Context& context, const std::string& workload, const Task& task) {
  SteadyPlan plan{
      .workload = workload, .task = task, .entrants = {}, .repeats = std::max(1U, context.effort.repeats * 2 / 3)};
  for (const std::string system : {"openssl", "tlsmux", "stream", "wrapper", "wrapper_leased"}) {
    if (std::ranges::find(context.systems, system) == context.systems.end()) continue;
    plan.entrants.push_back(
        {.kind = system,
         .label = system,
         .demand = {.name = "", .in_flight = task.in_flight, .message_bytes_max = task.message_bytes_max}});
  }
  return plan;
}

}  // namespace

void run_wrapper(Context& context, Results& results) {
  constexpr std::uint32_t kBulkBytes = 16 * 1024;
  constexpr std::uint32_t kBulkInFlight = 8;
  run_new_processes(context, results);
  run_steady(context, stay(context, "wrapper_warm", {}), results);
  run_steady(context,
             stay(context, "wrapper_bulk",
                  {.message_bytes_min = kBulkBytes, .message_bytes_max = kBulkBytes, .in_flight = kBulkInFlight}),
             results);
}

}  // namespace tlsmux::bench
