#include "tests/soak/process_figures.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>

namespace tlsmux::soak {
namespace {

struct Line {
  const char* name;
  std::uint64_t ProcessFigures::* figure;
};
constexpr std::array kLines = {Line{"VmRSS:", &ProcessFigures::resident_kb},
                               Line{"RssAnon:", &ProcessFigures::anonymous_kb},
                               Line{"VmLck:", &ProcessFigures::locked_kb}, Line{"Threads:", &ProcessFigures::threads}};

std::uint64_t count_entries(const std::string& folder) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(folder, error);
  return error ? 0 : static_cast<std::uint64_t>(std::distance(begin(entries), end(entries)));
}

std::uint64_t count_lines(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::uint64_t count = 0;
  while (std::getline(file, line)) ++count;
  return count;
}

}  // namespace

ProcessFigures figures_of(pid_t pid) {
  const auto folder = "/proc/" + std::to_string(pid);
  ProcessFigures figures;
  std::ifstream status(folder + "/status");
  for (std::string text; std::getline(status, text);) {
    std::istringstream words(text);
    std::string name;
    std::uint64_t number = 0;
    words >> name >> number;
    for (const auto& line : kLines) {
      if (name == line.name) figures.*line.figure = number;
    }
  }
  figures.descriptors = count_entries(folder + "/fd");
  figures.mappings = count_lines(folder + "/maps");
  return figures;
}

}  // namespace tlsmux::soak
