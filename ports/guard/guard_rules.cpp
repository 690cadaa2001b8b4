#include "ports/guard/guard_rules.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include <bpf/bpf.h>

#include "shm/fnv_hash.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

static_assert(index_of(Protocol::tcp) == guard_tcp_port && index_of(Protocol::udp) == guard_udp_port);

constexpr std::size_t kServicesMax = std::numeric_limits<std::uint16_t>::max();

std::string text_of(Port port) { return std::string(name(port.protocol)) + "/" + std::to_string(port.number); }

void add(GuardRuleTable& table, GuardRuleKind kind, std::size_t service, std::uint32_t number, GuardRule rule = {}) {
  table.keys.push_back(
      {.kind = static_cast<std::uint16_t>(kind), .service = static_cast<std::uint16_t>(service), .number = number});
  table.values.push_back(rule);
}

}  // namespace

std::uint64_t service_id(std::string_view name) { return shm::fnv_hash(name); }

std::expected<GuardRuleTable, std::string> make_table(const GuardRules& rules) {
  if (rules.services.size() > kServicesMax) return std::unexpected("too many services for the guard");
  GuardRuleTable table;
  std::map<Port, std::string_view> owners;
  std::set<std::uint64_t> ids;
  for (std::size_t place = 0; place < rules.services.size(); ++place) {
    const auto& service = rules.services[place];
    const GuardRule rule{
        .service_id = service_id(service.name), .service = static_cast<std::uint32_t>(place), .reserved = 0};
    if (!ids.insert(rule.service_id).second) return std::unexpected("the service " + service.name + " is there twice");
    for (const auto port : service.ports) {
      const auto [owner, is_new] = owners.emplace(port, service.name);
      if (!is_new && owner->second == service.name) continue;
      if (!is_new) {
        return std::unexpected(text_of(port) + " belongs to both " + std::string(owner->second) + " and " +
                               service.name);
      }
      add(table, port.protocol == Protocol::tcp ? guard_tcp_port : guard_udp_port, 0, port.number, rule);
    }
    for (const auto user : service.users) add(table, guard_user, place, user);
    for (const auto group : service.unix_groups) add(table, guard_unix_group, place, group);
  }
  return table;
}

std::expected<void, std::string> put_in_force(int rules_map, const GuardRuleTable& table) {
  const auto size = static_cast<std::uint32_t>(table.keys.size());
  const shm::UniqueFd map(::bpf_map_create(BPF_MAP_TYPE_HASH, "tlsmux_rules", sizeof(GuardRuleKey), sizeof(GuardRule),
                                           std::max(size, 1U), nullptr));
  if (!map) return std::unexpected(std::string("a map for the guard's rules: ") + std::strerror(errno));
  auto written = size;
  if (size > 0 && ::bpf_map_update_batch(map.get(), table.keys.data(), table.values.data(), &written, nullptr) != 0) {
    return std::unexpected(std::string("filling the guard's rules: ") + std::strerror(errno));
  }
  const std::uint32_t place = 0;
  const int descriptor = map.get();
  if (::bpf_map_update_elem(rules_map, &place, &descriptor, BPF_ANY) != 0) {
    return std::unexpected(std::string("putting the guard's rules in force: ") + std::strerror(errno));
  }
  return {};
}

}  // namespace tlsmux::ports
