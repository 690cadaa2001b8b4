#include "tests/shm/two_threads.hpp"

#include <pthread.h>

#include <thread>
#include <vector>

namespace tlsmux::test {
namespace {

std::vector<int> cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> numbers;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) numbers.push_back(cpu);
  }
  return numbers;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);  // without it the race is only less sharp
}

}  // namespace

int usable_cpus() { return static_cast<int>(cpus().size()); }

void run_two_threads(const std::function<void()>& first, const std::function<void()>& second) {
  const auto numbers = cpus();
  std::thread one([&] {
    pin_to(numbers.front());
    first();
  });
  std::thread two([&] {
    pin_to(numbers.back());
    second();
  });
  one.join();
  two.join();
}

}  // namespace tlsmux::test
