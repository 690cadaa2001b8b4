#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/options.hpp"
#include "bench/process/farm.hpp"
#include "bench/process/host_process.hpp"
#include "bench/process/interrupt.hpp"
#include "bench/process/private_memory.hpp"
#include "bench/report/conditions.hpp"
#include "bench/report/markdown.hpp"
#include "bench/report/plots.hpp"
#include "bench/report/rows_json.hpp"
#include "bench/workloads/workload.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using namespace tlsmux::bench;

const Effort kQuick = {.repeats = 7,
                       .slice_ms = 250,
                       .fresh_processes = 6,
                       .wrapper_processes = 20,
                       .crowd_clients = 1000,
                       .crowd_direct_clients = 200,
                       .farm_sizes = {1, 4, 12}};
const Effort kSmoke = {.repeats = 1,
                       .slice_ms = 50,
                       .fresh_processes = 1,
                       .wrapper_processes = 2,
                       .crowd_clients = 40,
                       .crowd_direct_clients = 32,
                       .farm_sizes = {2}};

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

// Of all that were asked for, those whose programs are installed.
std::vector<std::string> systems_present(const Options& options, Results& results) {
  std::vector<std::string> present;
  for (const auto& kind : system_kinds()) {
    const auto& names = options.system_names;
    if (!names.empty() && std::ranges::find(names, kind.name) == names.end()) continue;
    if (kind.name == "tlsmux_other" && options.other_folder.empty()) continue;
    if (kind.program.empty() || !find_program(kind.program).empty()) {
      present.push_back(kind.name);
    } else {
      results.remarks.push_back("without " + kind.name + ": it is not installed (scripts/setup --bench installs it)");
    }
  }
  return present;
}

std::uint64_t measure_program_memory(const Ground& ground) {
  constexpr std::uint32_t kPrograms = 8;
  Farm farm(ground, kPrograms, 1, Task{});
  farm.start_idle();
  return private_dirty_kb(farm.pids()) / kPrograms;
}

std::string effort_text(const Options& options) {
  return std::to_string(options.effort.repeats) + " repeats of " + std::to_string(options.effort.slice_ms) + " ms; " +
         std::to_string(options.host_threads) + " host " + (options.host_threads == 1 ? "thread" : "threads") + ".";
}

void write_report(const Results& results, const Conditions& conditions, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto table = markdown(results, conditions);
  std::ofstream(folder + "/rows.json") << rows_json(results);
  std::ofstream(folder + "/slices.json") << slices_json(results);
  std::ofstream(folder + "/table.md") << table;
  write_plots(results, folder);
  std::fputs(table.c_str(), stdout);
}

// True if all went well.
bool run(Options options) {
  const auto processors = std::max(1U, std::thread::hardware_concurrency());
  if (options.host_threads == 0) options.host_threads = std::max(1U, processors / 2);
  Progress progress;
  Results results;
  results.host_threads = options.host_threads;
  const tlsmux::test::TemporaryFolder folder;
  HostProcess host(program_folder(), options.certificates + "/server.pem", options.certificates + "/server.key",
                   options.host_threads);
  const Ground ground{.folder = folder.path(),
                      .program_folder = program_folder(),
                      .other_folder = options.other_folder,
                      .host_address = host.address(),
                      .certificates = options.certificates,
                      .ca_file = std::filesystem::absolute(options.certificates + "/ca.pem").string(),
                      .processors = processors};
  Context context{.ground = ground,
                  .host = host,
                  .effort = options.effort,
                  .progress = progress,
                  .systems = systems_present(options, results)};
  for (const auto& remark : results.remarks) progress.say("ERROR: " + remark);
  context.program_dirty_kb = measure_program_memory(ground);
  for (const auto& workload : workloads()) {
    const auto& names = options.workload_names;
    if (!names.empty() && std::ranges::find(names, workload.name) == names.end()) continue;
    workload.run(context, results);
  }
  results.remark_on_busy_host();
  write_report(results, {.machine = machine_text(processors), .peers = peers_text(), .effort = effort_text(options)},
               options.output_folder);
  return !results.has_failures;
}

std::vector<std::string> names_of_workloads() {
  std::vector<std::string> names;
  for (const auto& workload : workloads()) names.push_back(workload.name);
  return names;
}

std::vector<std::string> names_of_systems() {
  std::vector<std::string> names;
  for (const auto& kind : system_kinds()) names.push_back(kind.name);
  return names;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--certificates", options.certificates, "a folder that scripts/make-certificates has filled")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--output", options.output_folder, "where the results go")->capture_default_str();
  app.add_option("--workload", options.workload_names, "only these, joined by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of_workloads()));
  app.add_option("--system", options.system_names, "only these, joined by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of_systems()));
  app.add_option("--other", options.other_folder,
                 "another build's programs, to compare with in the workload confinement")
      ->check(CLI::ExistingDirectory);
  app.add_option("--host-threads", options.host_threads, "0: half of the processors")->capture_default_str();
  app.add_flag_callback("--quick", [&] { options.effort = kQuick; }, "less than three minutes");
  app.add_flag_callback("--smoke", [&] { options.effort = kSmoke; }, "only whether it works");
  app.add_option("--repeats", options.effort.repeats)->check(CLI::Range(1, 1000));
  app.add_option("--slice-ms", options.effort.slice_ms)->check(CLI::Range(10, 60'000));
}

}  // namespace

int main(int argc, char** argv) {
  ::umask(022);  // tlsmuxd takes no configuration that others may change
  Options options;
  CLI::App app("Measures tlsmux beside what one would take instead.", "tlsmux-bench");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  raise_descriptor_limit();
  catch_interrupts();
  try {
    return run(std::move(options)) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tlsmux-bench: %s\n", error.what());
    return 1;
  }
}
