#include "client/cli/process_facts.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace tlsmux::client::cli {
namespace {

std::string path_of(std::uint32_t pid, std::string_view file) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(file);
}

// The fields of /proc/PID/stat from the third on: the second is the program's name, which may hold anything.
std::vector<std::string> stat_fields(std::uint32_t pid) {
  std::ifstream file(path_of(pid, "stat"));
  std::string text;
  std::getline(file, text, '\0');
  const auto end_of_name = text.rfind(')');
  std::vector<std::string> fields;
  if (end_of_name == std::string::npos) return fields;
  for (std::size_t at = end_of_name; (at = text.find_first_not_of(" )\n", at)) != std::string::npos;) {
    const auto end = std::min(text.find_first_of(" \n", at), text.size());
    fields.push_back(text.substr(at, end - at));
    at = end;
  }
  return fields;
}

// Field numbers of proc_pid_stat(5).
constexpr std::size_t kParentField = 4;
constexpr std::size_t kStackField = 28;      // where the stack begins: chosen anew by every execve, kept by fork
constexpr std::size_t kArgumentsField = 48;  // the same of the arguments

std::uint64_t field_of(std::uint32_t pid, std::size_t number) {
  const auto fields = stat_fields(pid);
  std::uint64_t value = 0;
  if (fields.size() <= number - 3) return 0;
  const auto& text = fields[number - 3];
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// It runs the program that its parent runs, by fork alone.
bool is_fork_of(std::uint32_t pid, std::uint32_t parent) {
  for (const auto field : {kStackField, kArgumentsField}) {
    const auto value = field_of(pid, field);
    if (value == 0 || value != field_of(parent, field)) return false;
  }
  return true;
}

}  // namespace

ProcessSight sight_of(std::uint32_t pid) {
  const auto fields = stat_fields(pid);
  if (!fields.empty()) {
    const auto state = fields.front().front();
    if (state == 'Z' || state == 'X') return ProcessSight::gone;
    return state == 'T' || state == 't' ? ProcessSight::stopped : ProcessSight::there;
  }
  // /proc may hide those of others.
  const bool is_pid = pid > 0 && std::in_range<pid_t>(pid);
  const bool is_hidden = is_pid && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
  return is_hidden ? ProcessSight::there : ProcessSight::gone;
}

std::string_view name_of(ProcessSight sight) {
  switch (sight) {
    case ProcessSight::gone: return "gone";
    case ProcessSight::stopped: return "stopped";
    case ProcessSight::there: return "there";
  }
  return "unknown";
}

std::uint32_t parent_of(std::uint32_t pid) { return static_cast<std::uint32_t>(field_of(pid, kParentField)); }

bool has_library(std::uint32_t pid, std::string_view file_name) {
  std::ifstream file(path_of(pid, "maps"));
  const auto ending = "/" + std::string(file_name);
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with(ending)) return true;
  }
  return false;
}

std::optional<bool> share_network(std::uint32_t pid, std::uint32_t other) {
  struct stat one{};
  struct stat two{};
  if (::stat(path_of(pid, "ns/net").c_str(), &one) != 0) return std::nullopt;
  if (::stat(path_of(other, "ns/net").c_str(), &two) != 0) return std::nullopt;
  return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

std::uint32_t asking_process() {
  auto pid = static_cast<std::uint32_t>(::getppid());
  for (auto parent = parent_of(pid); parent > 1 && is_fork_of(pid, parent); parent = parent_of(pid)) pid = parent;
  return pid;
}

}  // namespace tlsmux::client::cli
