#include "tests/demo/incidents.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>

#include "tests/demo/audit.hpp"
#include "tests/demo/text_format.hpp"

namespace tlsmux::demo {
namespace {

constexpr unsigned kVictim = 2;
constexpr std::int64_t kPatienceNs = 20'000'000'000;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

Incidents::Incidents(Stage& stage, Screen& screen, std::int64_t start_ns)
    : stage_(stage), screen_(screen), start_ns_(start_ns) {
  plan_.push_back({.share_of_time = 0.40,
                   .strike = [this] { kill_authorizer(); },
                   .outcome = [this](const std::string& answered) -> std::optional<std::string> {
                     return screen_.bad("SIGKILL to " + name_of(kVictim)) + "; new requests of the other " +
                            survivors() + " answered in " + answered;
                   }});
  plan_.push_back({.share_of_time = 0.50,
                   .strike = [this] { restart_host(); },
                   .outcome = [this](const std::string& answered) { return host_is_back(answered); }});
  plan_.push_back({.share_of_time = 0.60,
                   .strike = [this] { kill_engine(); },
                   .outcome = [this](const std::string& answered) { return engine_is_back(answered); }});
}

void Incidents::step(double share_of_time) {
  if (!waiting_) {
    if (next_ == plan_.size() || share_of_time < plan_[next_].share_of_time) return;
    struck_ns_ = now_ns();
    plan_[next_++].strike();
    waiting_ = true;
    return;
  }
  const auto answered = time_to_answers();
  const auto outcome = answered ? plan_[next_ - 1].outcome(*answered) : std::nullopt;
  if (outcome) {
    waiting_ = false;
    const auto seconds = static_cast<double>(struck_ns_ - start_ns_) / 1e9;
    screen_.say(right_aligned(decimal(seconds), 6) + " s  " + *outcome);
  } else if (now_ns() - struck_ns_ > kPatienceNs) {
    throw std::runtime_error(answered ? "what was restarted does not come back" : "no more answers come");
  }
}

void Incidents::kill_authorizer() {
  auto& victim = stage_.authorizers()[kVictim];
  victim.killed = true;
  victim.process.send_signal(SIGKILL);
}

void Incidents::restart_host() {
  auto& host = stage_.host_b();
  host.stop();
  host.start_again();
  record_bytes_ = host.record_bytes();
}

std::optional<std::string> Incidents::host_is_back(const std::string& answered) {
  if (stage_.host_b().record_bytes() == record_bytes_) return std::nullopt;
  return screen_.bad("host B restarted") + "; new requests of all " + survivors() + " answered in " + answered +
         ", by B in " + since_strike(now_ns());
}

void Incidents::kill_engine() { killed_engine_ = stage_.engine().kill(); }

std::optional<std::string> Incidents::engine_is_back(const std::string& answered) {
  const auto facts = stage_.engine().facts();
  if (!facts || facts->pid == killed_engine_ || facts->sessions_ready < kSessions) return std::nullopt;
  return screen_.bad("SIGKILL to the engine") + "; new requests of all " + survivors() + " answered in " + answered;
}

std::optional<std::string> Incidents::time_to_answers() const {
  std::int64_t latest = 0;
  for (const auto& authorizer : stage_.authorizers()) {
    if (authorizer.killed) continue;
    const auto answered = authorizer.ledger.first_answer_ns(struck_ns_);
    if (!answered) return std::nullopt;
    latest = std::max(latest, *answered);
  }
  return since_strike(latest);
}

std::string Incidents::since_strike(std::int64_t when_ns) const {
  return std::to_string((when_ns - struck_ns_) / 1'000'000) + " ms";
}

std::string Incidents::survivors() const {
  return std::to_string(std::ranges::count_if(stage_.authorizers(), [](const auto& each) { return !each.killed; }));
}

}  // namespace tlsmux::demo
