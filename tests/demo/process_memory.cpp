#include "tests/demo/process_memory.hpp"

#include <charconv>
#include <fstream>
#include <string_view>

#include "shm/segment.hpp"

namespace tlsmux::demo {
namespace {

std::string proc_file(pid_t pid, const char* name) {
  return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/" + name;
}

// Of a line such as "Pss:      12 kB".
std::optional<std::uint64_t> value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return std::nullopt;
  line.remove_prefix(key.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  std::uint64_t value = 0;
  const auto result = std::from_chars(line.data(), line.data() + line.size(), value);
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::uint64_t anonymous_kb(pid_t pid) {
  std::ifstream file(proc_file(pid, "smaps_rollup"));
  for (std::string line; std::getline(file, line);) {
    if (const auto value = value_of(line, "Anonymous:")) return *value;
  }
  return 0;
}

// proc(5): a line with the name of each mapping, then a line for each of its figures.
std::optional<SegmentMemory> segment_memory(pid_t pid, const std::string& group) {
  const auto group_object = "/dev/shm/" + shm::group_object_name(group);
  std::ifstream file(proc_file(pid, "smaps"));
  SegmentMemory memory;
  std::uint64_t* kb = nullptr;
  for (std::string line; std::getline(file, line);) {
    const bool names_mapping = !line.empty() && line.find(':') != std::string::npos && line.find('-') < line.find(' ');
    if (names_mapping) {
      kb = line.find(group_object) != std::string::npos      ? &memory.group_kb
           : line.find("/memfd:tlsmux") != std::string::npos ? &memory.client_kb
                                                             : nullptr;
    } else if (kb != nullptr) {
      *kb += value_of(line, "Size:").value_or(0);
      memory.proportional_kb += value_of(line, "Pss:").value_or(0);
    }
  }
  if (memory.client_kb == 0) return std::nullopt;
  return memory;
}

}  // namespace tlsmux::demo
