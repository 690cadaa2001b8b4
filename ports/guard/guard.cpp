#include "ports/guard.hpp"

#include <fcntl.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include <bpf/bpf.h>

#include "ports/guard/guard_admission.hpp"
#include "ports/guard/guard_host.hpp"
#include "ports/guard/guard_pins.hpp"
#include "ports/guard/guard_programs.hpp"
#include "ports/guard/guard_rules.hpp"
#include "ports/guard/port_guard.h"

namespace tlsmux::ports {
namespace {

constexpr std::uint32_t kOnlyPlace = 0;

std::optional<std::uint32_t> map_id(int descriptor) {
  bpf_map_info info{};
  std::uint32_t bytes = sizeof info;
  if (::bpf_obj_get_info_by_fd(descriptor, &info, &bytes) != 0) return std::nullopt;
  return info.id;
}

bool are_of_network(const GuardMaps& maps, std::uint64_t network_cookie) {
  GuardSettings settings{};
  return ::bpf_map_lookup_elem(maps[GuardMap::settings], &kOnlyPlace, &settings) == 0 &&
         settings.network_cookie == network_cookie;
}

// The guard pinned in the folder, if it is whole, of this version, and guards what is to be guarded.
std::optional<GuardMaps> find_fitting(const GuardHost& host, const std::string& folder) {
  auto maps = open_maps(folder);
  if (!maps || !are_of_network(*maps, host.network_cookie) || !are_attached(folder, host.cgroup_id)) {
    return std::nullopt;
  }
  return maps;
}

// The maps stay, and with them the admitted processes, events and counters. First the rules, then the programs, which
// all read them alike: at every moment in between each bind is judged by whole rules.
std::expected<void, std::string> update(const GuardMaps& maps, const GuardRuleTable& table, const std::string& folder) {
  const auto programs = GuardPrograms::load(&maps);
  if (!programs) return std::unexpected(programs.error());
  if (auto replaced = put_in_force(maps[GuardMap::rules], table); !replaced) return replaced;
  return programs->replace_in(folder);
}

// From then on only the programs write the counters, and nobody the settings: readers' descriptors are harmless.
std::expected<void, std::string> settle(const GuardMaps& maps, std::uint64_t network_cookie) {
  const GuardSettings settings{.network_cookie = network_cookie};
  if (::bpf_map_update_elem(maps[GuardMap::settings], &kOnlyPlace, &settings, BPF_ANY) != 0 ||
      ::bpf_map_freeze(maps[GuardMap::settings]) != 0 || ::bpf_map_freeze(maps[GuardMap::counters]) != 0) {
    return std::unexpected(std::string("the guard's settings: ") + std::strerror(errno));
  }
  return {};
}

// In a folder that bears no plain name yet, with maps of its own or with those given. The rules are there before the first
// program is attached.
std::expected<GuardMaps, std::string> make(const GuardHost& host, const GuardRuleTable& table,
                                           const std::string& folder, const GuardMaps* given) {
  const auto programs = GuardPrograms::load(given);
  if (!programs) return std::unexpected(programs.error());
  auto maps = programs->maps();
  if (!maps) return maps;
  if (given == nullptr) {
    if (const auto settled = settle(*maps, host.network_cookie); !settled) return std::unexpected(settled.error());
  }
  if (const auto filled = put_in_force((*maps)[GuardMap::rules], table); !filled)
    return std::unexpected(filled.error());
  if (const auto pinned = programs->pin_maps(folder); !pinned) return std::unexpected(pinned.error());
  if (const auto attached = programs->attach(host, folder); !attached) return std::unexpected(attached.error());
  return maps;
}

// The new one is attached before the old one goes: in between a bind must pass both.
std::expected<GuardMaps, std::string> put_new(const GuardHost& host, const GuardRuleTable& table, const GuardPins& pins,
                                              const GuardMaps* given) {
  const auto folder = pins.make_folder();
  if (!folder) return std::unexpected(folder.error());
  auto maps = make(host, table, *folder, given);
  if (!maps) {
    std::ignore = pins.clear();  // what there is of it
    return maps;
  }
  if (const auto done = pins.put_in_force(*folder); !done) return std::unexpected(done.error());
  return maps;
}

}  // namespace

struct Guard::Parts {
  GuardPins pins;
  GuardMaps maps;
  std::vector<std::string> services;

  void note_services(const GuardRules& rules) {
    services.clear();
    for (const auto& service : rules.services) services.push_back(service.name);
  }
  // Somebody may have taken the guard away or put another one in its place.
  [[nodiscard]] bool is_in_force() const {
    const shm::UniqueFd pinned(::bpf_obj_get(pins.path(kGuardMapNames[0]).c_str()));
    return pinned && map_id(pinned.get()) == map_id(maps[GuardMap::rules]);
  }
};

Guard::Guard(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Guard::Guard(Guard&&) noexcept = default;
Guard& Guard::operator=(Guard&&) noexcept = default;
Guard::~Guard() = default;

std::expected<void, std::string> Guard::probe(const GuardPlace& place) {
  const auto host = examine_host(place);
  if (!host) return std::unexpected(host.error());
  const auto programs = GuardPrograms::load();
  if (!programs) return std::unexpected(programs.error());
  return programs->attach(*host, std::nullopt);  // without rules they allow everything
}

std::expected<Guard, std::string> Guard::put(const GuardPlace& place, const GuardRules& rules, const Guard* before) {
  const auto host = examine_host(place);
  if (!host) return std::unexpected(host.error());
  const auto table = make_table(rules);
  if (!table) return std::unexpected(table.error());

  GuardPins pins(place.bpf_directory, place.instance);
  const auto lock = pins.lock();
  if (!lock) return std::unexpected(lock.error());

  auto maps = find_fitting(*host, pins.path());
  if (maps) {
    if (const auto updated = update(*maps, *table, pins.path()); !updated) return std::unexpected(updated.error());
    forget_ended_processes((*maps)[GuardMap::admitted]);
  } else {
    const bool goes_on = before != nullptr && are_of_network(before->parts_->maps, host->network_cookie);
    auto made = put_new(*host, *table, pins, goes_on ? &before->parts_->maps : nullptr);
    if (!made) return std::unexpected(made.error());
    maps = *std::move(made);
  }
  if (const auto cleared = pins.clear(); !cleared) return std::unexpected(cleared.error());

  auto parts = std::make_unique<Parts>(Parts{.pins = std::move(pins), .maps = *std::move(maps), .services = {}});
  parts->note_services(rules);
  return Guard(std::move(parts));
}

std::expected<bool, std::string> Guard::remove(const GuardPlace& place) {
  if (!is_bpffs(place.bpf_directory)) return false;
  const GuardPins pins(place.bpf_directory, place.instance);
  if (!pins.is_anything_pinned()) return false;
  const auto lock = pins.lock();
  if (!lock) return std::unexpected(lock.error());
  if (const auto out = pins.put_out_of_force(); !out) return std::unexpected(out.error());
  const auto count = pins.clear();
  if (!count) return std::unexpected(count.error());
  return *count > 0;
}

std::vector<std::string> Guard::instances(const std::string& bpf_directory) {
  return GuardPins::instances(bpf_directory);
}

std::expected<void, std::string> Guard::set_rules(const GuardRules& rules) {
  const auto table = make_table(rules);
  if (!table) return std::unexpected(table.error());
  const auto lock = parts_->pins.lock();
  if (!lock) return std::unexpected(lock.error());
  if (!parts_->is_in_force()) {
    return std::unexpected("the guard at " + parts_->pins.path() + " was taken away or replaced by another process");
  }
  if (auto replaced = put_in_force(parts_->maps[GuardMap::rules], *table); !replaced) return replaced;
  parts_->note_services(rules);
  return {};
}

std::expected<void, shm::SystemError> Guard::admit(std::string_view service, pid_t pid) {
  if (std::ranges::find(parts_->services, service) == parts_->services.end()) {
    errno = ENOENT;
    return std::unexpected(shm::last_error("the guarded service " + std::string(service)));
  }
  return admit_process(parts_->maps[GuardMap::admitted], service_id(service), pid);
}

void Guard::dismiss(std::string_view service, pid_t pid) {
  dismiss_process(parts_->maps[GuardMap::admitted], service_id(service), pid);
}

void Guard::dismiss_all() { dismiss_all_processes(parts_->maps[GuardMap::admitted]); }

std::vector<shm::UniqueFd> Guard::event_descriptors() const {
  std::vector<shm::UniqueFd> descriptors;
  for (const auto map : {GuardMap::events, GuardMap::counters}) {
    descriptors.emplace_back(::fcntl(parts_->maps[map], F_DUPFD_CLOEXEC, 0));
  }
  return descriptors;
}

}  // namespace tlsmux::ports
