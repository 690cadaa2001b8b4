#include "ports/enforcement/enforcement_place.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "config/state_folder.hpp"
#include "shm/fnv_hash.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::string_view kJournalEnding = ".ports";
constexpr std::string_view kRecordEnding = ".guard";
constexpr std::string_view kLockEnding = ".ports.lock";
constexpr std::size_t kReadableMax = 31;

bool is_plain(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || character == '-' || character == '_';
}

}  // namespace

std::string EnforcementPlace::journal() const { return folder + "/" + instance() + std::string(kJournalEnding); }

std::string EnforcementPlace::record() const { return folder + "/" + instance() + std::string(kRecordEnding); }

std::string EnforcementPlace::lock_file() const { return folder + "/" + instance() + std::string(kLockEnding); }

EnforcementPlace place_of(const config::EngineSettings& engine) {
  return {.folder = config::state_folder(engine),
          .guard = {.bpf_directory = engine.port_guard.bpf_directory,
                    .cgroup = engine.port_guard.cgroup,
                    .instance = instance_name(engine.control_socket)}};
}

std::string instance_name(const std::string& control_socket) {
  const auto path = std::filesystem::path(control_socket).lexically_normal().string();
  auto readable = path.substr(path.size() - std::min(path.size(), kReadableMax));
  // No dots: a bpffs refuses names that have them.
  std::ranges::replace_if(readable, [](char character) { return !is_plain(character); }, '-');
  while (readable.starts_with('-')) readable.erase(0, 1);
  return readable + "-" + shm::fnv_text(path);
}

std::vector<std::string> journalled_instances(const std::string& folder) {
  std::vector<std::string> instances;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const auto& path = entry.path();
    if (path.extension() == kJournalEnding || path.extension() == kRecordEnding) {
      instances.push_back(path.stem().string());
    }
  }
  std::ranges::sort(instances);
  const auto twice = std::ranges::unique(instances);
  instances.erase(twice.begin(), twice.end());
  return instances;
}

}  // namespace tlsmux::ports
