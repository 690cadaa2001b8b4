#include "bench/process/cpu_time.hpp"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

namespace tlsmux::bench {

std::uint64_t cpu_ns(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(used.tv_nsec);
}

std::uint64_t cpu_ns(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (const auto pid : pids) sum += cpu_ns(pid);
  return sum;
}

// proc(5): each thread's children are listed in its `children` file.
std::vector<pid_t> process_tree(pid_t root) {
  std::vector<pid_t> tree = {root};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    std::error_code gone;
    const auto threads = "/proc/" + std::to_string(tree[i]) + "/task";
    for (const auto& thread : std::filesystem::directory_iterator(threads, gone)) {
      std::ifstream children(thread.path() / "children");
      for (pid_t child = 0; children >> child;) tree.push_back(child);
    }
  }
  return tree;
}

}  // namespace tlsmux::bench
