#pragma once

// Faults that strike at random moments, one after the other.

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::test {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return random_() % bound; }
  template <typename Container>
  auto& one_of(Container& all) {
    return all[below(all.size())];
  }
  // Lets time pass, less than so much.
  void pause(int ms_max);

 private:
  std::mt19937_64 random_;
};

struct Fault {
  std::string name;
  std::function<void()> strike;
  bool by_chance = true;  // else only when it is asked for
  std::uint64_t times = 0;
};

class FaultLoop {
 public:
  // All faults share `chance`, which must outlive this: the same seed gives the same sequence of faults, though not the
  // same moments.
  FaultLoop(Chance& chance, std::vector<Fault> faults, int pause_ms_max);

  // Strikes until then; the last fault is over when it returns.
  void run(std::chrono::steady_clock::time_point until);
  void strike(std::string_view name);
  [[nodiscard]] const std::vector<Fault>& faults() const { return faults_; }

 private:
  Chance& chance_;
  std::vector<Fault> faults_;
  std::vector<std::size_t> by_chance_;
  int pause_ms_max_;
};

// SIGSTOP, a pause of less than so much, SIGCONT.
void stand_still(Chance& chance, pid_t pid, int ms_max);

}  // namespace tlsmux::test
