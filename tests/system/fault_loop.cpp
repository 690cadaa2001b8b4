#include "tests/system/fault_loop.hpp"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include <doctest/doctest.h>

namespace tlsmux::test {

void Chance::pause(int ms_max) { ::poll(nullptr, 0, static_cast<int>(below(static_cast<std::size_t>(ms_max)))); }

FaultLoop::FaultLoop(Chance& chance, std::vector<Fault> faults, int pause_ms_max)
    : chance_(chance), faults_(std::move(faults)), pause_ms_max_(pause_ms_max) {
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    if (faults_[i].by_chance) by_chance_.push_back(i);
  }
}

void FaultLoop::run(std::chrono::steady_clock::time_point until) {
  while (std::chrono::steady_clock::now() < until) {
    chance_.pause(pause_ms_max_);
    auto& fault = faults_[chance_.one_of(by_chance_)];
    ++fault.times;
    fault.strike();
  }
}

void FaultLoop::strike(std::string_view name) {
  const auto fault = std::ranges::find(faults_, name, &Fault::name);
  REQUIRE(fault != faults_.end());
  ++fault->times;
  fault->strike();
}

void stand_still(Chance& chance, pid_t pid, int ms_max) {
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  chance.pause(ms_max);
  REQUIRE(::kill(pid, SIGCONT) == 0);
}

}  // namespace tlsmux::test
