#include "bench/process/private_memory.hpp"

#include <fstream>
#include <string>

namespace tlsmux::bench {

std::uint64_t private_dirty_kb(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string word; file >> word;) {
    std::uint64_t kb = 0;
    if (word == "Private_Dirty:" && file >> kb) return kb;
  }
  return 0;
}

std::uint64_t private_dirty_kb(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (const auto pid : pids) sum += private_dirty_kb(pid);
  return sum;
}

}  // namespace tlsmux::bench
