// Mixed load under faults, for as long as wanted: no outcome is false, and nothing grows. scripts/soak runs it for long.
//
//   TLSMUX_SOAK_SECONDS=n  how long; 10 unless told otherwise, which is too short to judge growth
//   TLSMUX_SOAK_REPORT=f   the series, as JSON
//   TLSMUX_SOAK_LEAK=1     the engine has a leak, which must be found (leaking.c)
//   TLSMUX_SEED=n          the same sequence of faults; their moments depend on the machine

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/soak/interrupt.hpp"
#include "tests/soak/leak.hpp"
#include "tests/soak/report.hpp"
#include "tests/soak/settlement.hpp"
#include "tests/soak/world.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/fault_loop.hpp"

namespace tlsmux::soak {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kPauseMsMax = 300;  // between two faults
constexpr int kStopMsMax = 300;   // how long something stands still
constexpr double kPhaseSMin = 1.5;
constexpr double kPhaseSMax = 20;
constexpr double kLineEveryS = 60;  // or after each phase, if there are few
constexpr double kEngineKillsEverySMax = 300;
constexpr double kJudgedSMin = 300;  // has quiet moments enough to judge growth by, see growth.hpp
constexpr const char* kEngineKilled = "engine killed";

std::string environment(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : otherwise;
}

// How the time is shared out. In the second half no engine is killed, so that one lives long enough to show what grows.
struct Plan {
  explicit Plan(double total)
      : total_s(total),
        phase_s(std::clamp(total / 30, kPhaseSMin, kPhaseSMax)),
        kill_every_s(std::min(kEngineKillsEverySMax, total / 10)) {}

  double total_s;
  double phase_s;
  double kill_every_s;
};

class Soak {
 public:
  Soak(const Plan& plan, std::uint64_t seed, const test::EngineLaunch& launch)
      : plan_(plan), world_(seed, launch), chance_(seed) {}

  void run();
  [[nodiscard]] const Report& report() const { return report_; }
  [[nodiscard]] const test::FaultLoop& faults() const { return faults_; }
  [[nodiscard]] std::uint64_t engine_kills() const { return faults_.faults().back().times; }

 private:
  void run_phase();
  void settle(std::vector<test::LedgerEntry> entries);
  std::vector<test::Fault> make_faults();
  [[nodiscard]] double now_s() const { return Seconds(Clock::now() - begun_).count(); }
  test::ReturningHost& some_host() { return *chance_.one_of(world_.hosts()); }

  Plan plan_;
  World world_;
  test::Chance chance_;
  test::FaultLoop faults_{chance_, make_faults(), kPauseMsMax};
  Settlement settlement_{world_.records()};
  Report report_{plan_.total_s >= kLineEveryS * 3 ? kLineEveryS : 0};
  Clock::time_point begun_ = Clock::now();
  double last_kill_s_ = 0;
};

std::vector<test::Fault> Soak::make_faults() {
  const auto stop = [this](pid_t pid) { test::stand_still(chance_, pid, kStopMsMax); };
  return {{"client killed", [this] { world_.clients().kill_one(chance_); }},
          {"client stops", [this, stop] { stop(world_.clients().some(chance_).pid()); }},
          {"resident stops", [this, stop] { stop(chance_.one_of(world_.residents())->pid()); }},
          {"engine stops", [this, stop] { stop(world_.engine().engine_pid()); }},
          {"broker stops", [this, stop] { stop(world_.engine().broker_pid()); }},
          {"host killed", [this] { some_host().kill_and_restart(); }},
          {"host stops", [this, stop] { stop(some_host().pid()); }},
          {"limits refreshed", [this] { world_.refresh_settings(); }},
          {"upstream added or removed", [this] { world_.add_or_remove_upstream(); }},
          {"certificate rotated", [this] { world_.rotate_certificate(); }},
          {"drained", [this] { world_.drain_and_resume(); }},
          // The last.
          {kEngineKilled, [this] { world_.engine().kill_engine(); }, false}};
}

void Soak::run() {
  while (now_s() < plan_.total_s && !is_interrupted()) run_phase();
  settle({});
  world_.stop();
  report_.print_end(faults_.faults(), world_.board().deeds());
}

void Soak::run_phase() {
  const auto begun = Clock::now();
  const auto length = std::chrono::duration_cast<Clock::duration>(Seconds(plan_.phase_s));
  world_.begin_phase();
  faults_.run(begun + length / 2);
  const bool is_kill_wanted = now_s() < plan_.total_s / 2 || last_kill_s_ == 0;
  if (is_kill_wanted && now_s() - last_kill_s_ >= plan_.kill_every_s) {
    faults_.strike(kEngineKilled);
    last_kill_s_ = now_s();
  }
  faults_.run(begun + length);
  auto entries = world_.end_phase();
  Sample sample;
  sample.quiet = await_quiet(world_.watched());
  sample.quiet.at_s = now_s();
  settle(std::move(entries));
  sample.tally = settlement_.tally();
  sample.latency = world_.board().take_latencies();
  for (const auto& fault : faults_.faults()) sample.faults += fault.times;
  sample.memory_refused = world_.engine().log().count("event=memory_not_registered");
  report_.add(sample);
  world_.engine().forget_log();
}

void Soak::settle(std::vector<test::LedgerEntry> entries) {
  std::size_t told = 0;
  for (const auto& words : settlement_.end_phase(std::move(entries))) {
    if (++told <= 20) FAIL_CHECK(words);
  }
}

}  // namespace

TEST_CASE("faults.soak of mixed load under faults shows no false outcome, and in minutes no growth either") {
  const Plan plan(std::atof(environment("TLSMUX_SOAK_SECONDS", "10").c_str()));
  INFO("TLSMUX_SEED=", test::seed());
  watch_interrupts();
  const bool has_leak = environment("TLSMUX_SOAK_LEAK", "0") == "1";
  Soak soak(plan, test::seed(), has_leak ? launch_leaking() : test::EngineLaunch{});
  if (::geteuid() != 0) test::skip("descriptors and mappings of engine and broker, which only root can see");
  soak.run();
  const auto verdicts = soak.report().verdicts();
  const bool is_engine_judged = std::ranges::any_of(verdicts, [](const auto& one) { return one.engine_pid > 0; });
  CHECK((is_engine_judged || plan.total_s < kJudgedSMin || is_interrupted()));
  for (const auto& verdict : verdicts) CHECK_MESSAGE(!verdict.trend.grows, words_of(verdict));
  const auto path = environment("TLSMUX_SOAK_REPORT", "");
  if (!path.empty()) soak.report().write_json(path, test::seed(), soak.faults().faults());
  CHECK((soak.engine_kills() > 0 || is_interrupted()));
}

}  // namespace tlsmux::soak
