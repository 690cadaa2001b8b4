#include "tests/system/proc_files.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include <doctest/doctest.h>

#include "tests/system/await.hpp"

namespace tlsmux::test {
namespace {

std::string proc(pid_t pid) { return "/proc/" + std::to_string(pid); }

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');  // an iterator of its buffer would throw when the process ends
  return text;
}

// Fields 3 and later of a `stat` file; the name in field 2 may hold anything. Empty if there is no such process.
std::vector<std::string> stat_fields(const std::string& folder) {
  auto text = text_of(folder + "/stat");
  if (text.empty()) return {};
  text.erase(0, text.rfind(')') + 1);
  std::istringstream words(text);
  return std::vector<std::string>(std::istream_iterator<std::string>(words), {});
}

// proc(5)'s letter; a process that has ended has no threads.
bool all_threads_are(pid_t pid, const std::string& state) {
  for (const auto& thread : std::filesystem::directory_iterator(proc(pid) + "/task")) {
    const auto fields = stat_fields(thread.path().string());
    if (!fields.empty() && fields[0] != state) return false;
  }
  return true;
}

}  // namespace

std::string start_time(pid_t pid) {
  const auto fields = stat_fields(proc(pid));
  return fields.size() > 19 ? fields[19] : "";
}

std::string children_of(pid_t pid) { return text_of(proc(pid) + "/task/" + std::to_string(pid) + "/children"); }

std::size_t count_mappings(pid_t pid, const std::string& name) {
  std::istringstream maps(text_of(proc(pid) + "/maps"));
  std::string line;
  std::size_t count = 0;
  while (std::getline(maps, line)) count += line.find(name) != std::string::npos ? 1 : 0;
  return count;
}

bool is_asleep(pid_t pid) { return all_threads_are(pid, "S"); }

void stop_process(pid_t pid) {
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  await([&] { return all_threads_are(pid, "T"); });
}

}  // namespace tlsmux::test
