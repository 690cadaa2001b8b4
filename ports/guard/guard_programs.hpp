#pragma once

// The guard's programs and maps, by libbpf's skeleton of port_guard.bpf.c.

#include <array>
#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "ports/guard/guard_host.hpp"
#include "ports/guard/guard_pins.hpp"
#include "shm/system/unique_fd.hpp"

struct port_guard;

namespace tlsmux::ports {

enum class GuardMap : std::uint8_t { rules, admitted, settings, counters, events };
// The names of their pins, too.
inline constexpr std::array kGuardMapNames{"rules", "admitted", "settings", "counters", "events"};

struct GuardMaps {
  std::array<shm::UniqueFd, kGuardMapNames.size()> descriptors;

  [[nodiscard]] int operator[](GuardMap map) const { return descriptors[static_cast<std::size_t>(map)].get(); }
  [[nodiscard]] shm::UniqueFd& at(GuardMap map) { return descriptors[static_cast<std::size_t>(map)]; }
};

class GuardPrograms {
 public:
  // With maps of their own, or with those given, which must be of this version.
  static std::expected<GuardPrograms, std::string> load(const GuardMaps* maps = nullptr);

  [[nodiscard]] std::expected<GuardMaps, std::string> maps() const;
  [[nodiscard]] std::expected<void, std::string> pin_maps(const std::string& folder) const;
  // To all hooks, beside whatever is attached there. The links are pinned in the folder; without one they are for a
  // trial and go at once.
  [[nodiscard]] std::expected<void, std::string> attach(const GuardHost& host,
                                                        const std::optional<std::string>& folder) const;
  // Puts these programs into the links pinned in the folder.
  [[nodiscard]] std::expected<void, std::string> replace_in(const std::string& folder) const;

 private:
  struct Destroy {
    void operator()(port_guard* skeleton) const;
  };
  using Skeleton = std::unique_ptr<port_guard, Destroy>;
  explicit GuardPrograms(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}

  Skeleton skeleton_;
};

// The maps pinned in the folder; nothing if one is missing or is not as this version's.
std::optional<GuardMaps> open_maps(const std::string& folder);

// Whether all links pinned in the folder are attached to this cgroup.
bool are_attached(const std::string& folder, std::uint64_t cgroup_id);

}  // namespace tlsmux::ports
