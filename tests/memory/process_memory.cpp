#include "tests/memory/process_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {
namespace {

std::string proc(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

// "BEGIN-END ACCESS OFFSET DEVICE INODE   NAME"; false: the line is of another kind.
bool read_range(const std::string& line, MappedRange& range) {
  std::istringstream words(line);
  char dash = 0;
  std::string offset;
  std::string device;
  std::string inode;
  words >> std::hex >> range.begin >> dash >> range.end >> range.access >> offset >> device >> inode;
  if (!words || dash != '-') return false;
  std::getline(words >> std::ws, range.name);
  return true;
}

std::size_t count_in(std::string_view text, std::string_view bytes) {
  std::size_t count = 0;
  for (auto at = text.find(bytes); at != std::string_view::npos; at = text.find(bytes, at + 1)) ++count;
  return count;
}

}  // namespace

uid_t user_of_this_process() { return 2'000'000'000U + static_cast<uid_t>(::getpid()); }

std::vector<MappedRange> mapped_ranges(pid_t pid) {
  std::ifstream file(proc(pid, "smaps"));
  std::vector<MappedRange> ranges;
  std::string line;
  while (std::getline(file, line)) {
    MappedRange range;
    if (line.starts_with("VmFlags: ")) {
      ranges.back().flags = line.substr(9);
    } else if (line.find(':') > line.find(' ') && read_range(line, range)) {
      ranges.push_back(std::move(range));
    }
  }
  REQUIRE_MESSAGE(!ranges.empty(), "the mappings of process ", pid, " cannot be read");
  return ranges;
}

std::uint64_t status_kib(pid_t pid, const std::string& key) {
  std::ifstream file(proc(pid, "status"));
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(key + ":")) return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10);
  }
  FAIL("no ", key, " of process ", pid);
  return 0;
}

std::size_t count_in_memory(pid_t pid, std::string_view bytes, std::string_view name) {
  const shm::UniqueFd memory(::open(proc(pid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(memory);
  std::size_t count = 0;
  for (const auto& range : mapped_ranges(pid)) {
    if (range.access[0] != 'r' || range.name.find(name) == std::string::npos) continue;
    std::string text(range.bytes(), '\0');
    std::size_t got = 0;
    while (got < text.size()) {
      const auto part =
          ::pread(memory.get(), text.data() + got, text.size() - got, static_cast<off_t>(range.begin + got));
      if (part <= 0) break;  // such as [vvar]
      got += static_cast<std::size_t>(part);
    }
    count += count_in(std::string_view(text).substr(0, got), bytes);
  }
  return count;
}

}  // namespace tlsmux::test
