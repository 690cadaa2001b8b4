#include "tests/demo/conductor.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/demo/audit.hpp"
#include "tests/demo/incidents.hpp"
#include "tests/demo/own_connection.hpp"
#include "tests/demo/progress.hpp"
#include "tests/demo/purchase.hpp"
#include "tests/demo/stage.hpp"
#include "tests/demo/summary.hpp"
#include "tests/demo/text_format.hpp"

namespace tlsmux::demo {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{50};
constexpr std::chrono::milliseconds kTickWhileWaiting{3};
constexpr std::chrono::seconds kOvertime{90};  // of the authorizers; only ever used up by a failure
constexpr std::size_t kContradictionsPrinted = 20;

// Until all authorizers are done and all incidents over.
void run_load(Stage& stage, Screen& screen, const Interrupt& interrupt, const Options& options) {
  const auto start = Clock::now();
  const std::chrono::duration<double> planned(options.seconds);
  Incidents incidents(stage, screen, start.time_since_epoch() / std::chrono::nanoseconds(1));
  Progress progress(stage, screen, options, start);
  stage.start_authorizers();
  while (!stage.look_after_processes()) {
    const auto now = Clock::now();
    if (now - start > planned + kOvertime) throw std::runtime_error("the authorizers do not come to an end");
    incidents.step((now - start) / planned);
    if (screen.is_live() || !incidents.is_waiting()) progress.show(now);  // so that lines come in order of time
    interrupt.pause(incidents.is_waiting() ? kTickWhileWaiting : kTick);
  }
  if (!incidents.all_over()) throw std::runtime_error("the authorizers were done before everything had happened");
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  screen.say(right_aligned(decimal(seconds), 6) + " s  All requests have ended.");
}

// What an authorizer's own memory grew by, on average.
std::uint64_t library_kb(Stage& stage) {
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
  for (const auto& authorizer : stage.authorizers()) {
    if (authorizer.killed) continue;
    const auto& header = authorizer.ledger.header();
    sum += header.anonymous_kb_after - std::min<std::uint64_t>(header.anonymous_kb_before, header.anonymous_kb_after);
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

HostRecords read_records(Stage& stage) {
  HostRecords records;
  for (const auto* host : {&stage.host_a(), &stage.host_b()}) {
    records.add(host->letter(), host::read_file(host->record_file()));
  }
  return records;
}

OwnConnection measure_comparison(const Interrupt& interrupt, const Stage& stage) {
  const PaymentHost host(interrupt, stage.folder(), 'C');
  return measure_own_connection(host.port());
}

Figures collect_figures(Stage& stage, const HostRecords& records) {
  Figures figures;
  for (const auto& authorizer : stage.authorizers()) {
    figures.accounts.push_back({authorizer.number, authorizer.killed, authorizer.ledger.entries()});
  }
  auto reports = stage.host_a().report_files();
  const auto& more = stage.host_b().report_files();
  reports.insert(reports.end(), more.begin(), more.end());
  figures.hosts = read_host_reports(reports);
  figures.messages_at_a = records.messages_of(stage.host_a().letter());
  figures.messages_at_b = records.messages_of(stage.host_b().letter());
  figures.library_kb = library_kb(stage);
  return figures;
}

bool print_contradictions(Screen& screen, const std::vector<std::string>& found) {
  if (found.empty()) return false;
  screen.say("");
  for (std::size_t i = 0; i < std::min(found.size(), kContradictionsPrinted); ++i) {
    screen.say(screen.bad("contradiction: ") + found[i]);
  }
  if (found.size() > kContradictionsPrinted) {
    screen.say("and " + std::to_string(found.size() - kContradictionsPrinted) + " more");
  }
  return true;
}

bool perform(Stage& stage, const Options& options, const Interrupt& interrupt, Screen& screen) {
  stage.attach_authorizers();
  screen.say("  set up  " + std::to_string(kAuthorizers) + " authorizers attached");
  if (screen.is_live()) {
    screen.say(screen.dim("  look on from another terminal: " + program_folder() + "/tlsmux status --group " +
                          stage.engine().group() + " --control-socket " + stage.engine().control_socket()));
  }
  screen.say("");
  const auto segment = segment_memory(stage.authorizers().front().process.pid(), stage.engine().group());
  run_load(stage, screen, interrupt, options);
  const auto engine = stage.engine().facts();
  const auto engine_kb = engine ? anonymous_kb(engine->pid) : 0;
  stage.stop();

  const auto records = read_records(stage);
  auto figures = collect_figures(stage, records);
  figures.segment = segment;
  figures.engine_kb = engine_kb;
  figures.own = measure_comparison(interrupt, stage);
  print_outcomes(screen, figures);
  bool bad = print_contradictions(screen, contradictions(figures.accounts, options.messages, records));
  if (!bad) print_costs(screen, figures);
  for (const auto& thing : stage.residue()) {
    screen.say(screen.bad("left behind: ") + thing);
    bad = true;
  }
  screen.say("");
  screen.say(result_line(figures));
  return !bad;
}

}  // namespace

bool conduct(const Options& options, const Interrupt& interrupt, Screen& screen) {
  screen.say(screen.bold("tlsmux demo: ") + std::to_string(kAuthorizers) + " authorizers, " +
             thousands(options.messages) + " requests each (card payments, some echo tests), " +
             decimal(options.seconds, 0) + " s, " + std::to_string(kSessions) + " TLS sessions");
  screen.say("");
  Stage stage(interrupt, options);
  try {
    stage.set_up(screen);
    return perform(stage, options, interrupt, screen);
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception&) {
    for (const auto& line : stage.last_log_lines()) screen.say(line);
    throw;
  }
}

}  // namespace tlsmux::demo
