#include "tests/soak/report.hpp"

#include <cinttypes>
#include <cstdio>

namespace tlsmux::soak {
namespace {

double ms_of(const shm::LatencyCounts& counts, double share) {
  return static_cast<double>(shm::percentile(counts, share)) / 1e6;
}

shm::LatencyCounts latencies_of(const std::vector<Sample>& samples, std::size_t from, std::size_t to) {
  shm::LatencyCounts all{};
  for (std::size_t i = from; i < to; ++i) shm::merge(all, samples[i].latency);
  return all;
}

std::string clock_text(double seconds) {
  std::array<char, 16> text{};
  const auto whole = static_cast<unsigned>(seconds);
  std::snprintf(text.data(), text.size(), "%3u:%02u", whole / 60, whole % 60);
  return text.data();
}

constexpr const char* kHead =
    " time  requests  answered not sent    maybe false faults  p50 ms  p99 ms p999 ms  RSS MB  fds thr ses slo por\n";

}  // namespace

void Report::add(const Sample& sample) {
  samples_.push_back(sample);
  const double since = printed_ == 0 ? 0 : samples_[printed_ - 1].quiet.at_s;
  if (sample.quiet.at_s - since >= line_every_s_) print_line();
}

void Report::print_line() {
  if (printed_ == 0) std::fputs(kHead, stdout);
  const auto latency = latencies_of(samples_, printed_, samples_.size());
  printed_ = samples_.size();
  const auto& last = samples_.back();
  const auto& tally = last.tally;
  const auto& quiet = last.quiet;
  std::printf("%s %9" PRIu64 " %9" PRIu64 " %8" PRIu64 " %8" PRIu64 " %5" PRIu64 " %6" PRIu64
              " %7.2f %7.2f %7.2f %7.2f %4" PRIu64 " %3" PRIu64 " %3" PRIu64 " %3" PRIu64 " %3" PRIu64 "\n",
              clock_text(quiet.at_s).c_str(), tally.requests, tally.answered, tally.not_sent, tally.maybe_sent,
              tally.false_outcomes, last.faults, ms_of(latency, 0.5), ms_of(latency, 0.99), ms_of(latency, 0.999),
              static_cast<double>(quiet.engine.resident_kb) / 1024, quiet.engine.descriptors, quiet.engine.threads,
              quiet.held.sessions, quiet.held.slots, quiet.held.ports);
  std::fflush(stdout);
}

std::vector<std::vector<const Sample*>> Report::lives() const {
  std::vector<std::vector<const Sample*>> lives;
  for (const auto& sample : samples_) {
    const bool is_same = !lives.empty() && lives.back().back()->quiet.engine_pid == sample.quiet.engine_pid;
    if (!is_same) lives.emplace_back();
    lives.back().push_back(&sample);
  }
  return lives;
}

std::vector<Verdict> Report::verdicts() const {
  std::vector<Verdict> all;
  const auto judge_one = [&](const Resource& resource, const std::vector<const Sample*>& life, pid_t engine) {
    std::vector<double> figures;
    for (const auto* sample : life) figures.push_back(resource.figure(sample->quiet));
    const auto trend = judge(figures, resource.tolerance);
    if (!trend.is_judged) return;
    all.push_back({.resource = &resource,
                   .engine_pid = engine,
                   .minutes = (life.back()->quiet.at_s - life.front()->quiet.at_s) / 60,
                   .figures = figures.size(),
                   .trend = trend});
  };
  std::vector<const Sample*> everything;
  for (const auto& sample : samples_) everything.push_back(&sample);
  for (const auto& resource : resources()) {
    if (resource.outlives_engine) {
      judge_one(resource, everything, -1);
      continue;
    }
    for (const auto& life : lives()) judge_one(resource, life, life.front()->quiet.engine_pid);
  }
  return all;
}

void Report::print_end(const std::vector<test::Fault>& faults, const DeedCounts& deeds) const {
  if (samples_.empty()) return;
  const auto& tally = samples_.back().tally;
  std::printf("\nrequests %" PRIu64 ": answered %" PRIu64 ", not sent %" PRIu64 ", maybe sent %" PRIu64
              "; refused at once %" PRIu64 "\nreceived by the hosts %" PRIu64 "; FALSE OUTCOMES %" PRIu64 "\n",
              tally.requests, tally.answered, tally.not_sent, tally.maybe_sent, tally.refused, tally.received,
              tally.false_outcomes);
  std::printf("of these by residents: tmx_call %" PRIu64 ", ISO 8583 %" PRIu64 ", streams %" PRIu64
              ", leased sessions %" PRIu64 "; ports taken %" PRIu64 "\n",
              deeds[0], deeds[1], deeds[2], deeds[3], deeds[4]);
  std::printf("faults:");
  std::uint64_t sum = 0;
  for (const auto& fault : faults) {
    std::printf("%s %s %" PRIu64, sum == 0 ? "" : ",", fault.name.c_str(), fault.times);
    sum += fault.times + 1;
  }
  std::printf("\nengines: %zu\n", engines());
  print_memory_refused();
  print_latency();
  print_verdicts();
}

void Report::print_memory_refused() const {
  std::uint64_t sum = 0;
  for (const auto& sample : samples_) sum += sample.memory_refused;
  if (sum == 0) return;
  std::printf(
      "NOT AS IN PRODUCTION: %" PRIu64
      " shards had no registered memory. RLIMIT_MEMLOCK counts all processes of the engine's user: raise it, give "
      "tlsmuxd CAP_SYS_RESOURCE, or let no other soak or engine of that user run meanwhile.\n",
      sum);
}

void Report::print_latency() const {
  const auto third = samples_.size() / 3;
  if (third == 0) return;
  const auto first = latencies_of(samples_, 0, third);
  const auto last = latencies_of(samples_, samples_.size() - third, samples_.size());
  std::printf("\nlatency of tmx_call, ms      first third   last third   drift\n");
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}}) {
    const auto before = ms_of(first, share);
    const auto after = ms_of(last, share);
    std::printf("  %-24s %13.3f %12.3f %7.2f\n", name, before, after, before > 0 ? after / before : 0.0);
  }
}

void Report::print_verdicts() const {
  std::printf("\nwhen all is quiet, medians   minutes  first third  middle  last third  tolerated\n");
  for (const auto& verdict : verdicts()) {
    const auto& trend = verdict.trend;
    std::printf("  %-24s %9.1f %12.0f %7.0f %11.0f %10.0f  %s\n", verdict.resource->name, verdict.minutes, trend.first,
                trend.middle, trend.last, verdict.resource->tolerance, trend.grows ? "GROWS" : "");
  }
  if (verdicts().empty()) std::printf("  too few moments of quiet to judge\n");
  std::fflush(stdout);
}

std::string words_of(const Verdict& verdict) {
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "%s: %.0f in the first third of %.1f minutes, %.0f in the last",
                verdict.resource->name, verdict.trend.first, verdict.minutes, verdict.trend.last);
  return text.data();
}

}  // namespace tlsmux::soak
