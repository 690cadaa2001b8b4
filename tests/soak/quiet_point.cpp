#include "tests/soak/quiet_point.hpp"

#include <unistd.h>

#include <doctest/doctest.h>

#include "shm/control_protocol.hpp"  // text_of
#include "shm/group_part.hpp"
#include "tests/system/eventually.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/read_surely.hpp"

namespace tlsmux::soak {
namespace {

void add_upstreams(const shm::GroupView& view, bool counts_shared, Held& held) {
  for (std::uint32_t i = 0; i < view.upstreams().size(); ++i) {
    shm::UpstreamRow row;
    test::read_surely(view.upstreams()[i], row);
    const bool is_shared = shm::text_of(row.name) == "acquirer";  // it has a row in both groups
    if (row.in_use == 0 || (is_shared && !counts_shared)) continue;
    held.in_flight += row.in_flight + row.queued;
    held.streams += row.streams;
    held.sessions += row.sessions_ready;
    held.sessions_missing += row.sessions_wanted > row.sessions_ready ? row.sessions_wanted - row.sessions_ready : 0;
    if (row.draining != 0) ++held.sessions_missing;
  }
}

void add_ports(const std::string& group, Held& held) {
  for (const auto& port : test::port_facts(group)) {
    switch (port.state) {
      case shm::PortState::leased: ++held.ports_leased; break;
      case shm::PortState::claimed:
      case shm::PortState::bound:
      case shm::PortState::orphan: ++held.ports; break;
      default: break;
    }
  }
}

// Zeros would never grow. Only root sees the descriptors and mappings of processes that nobody may look into.
ProcessFigures figures_seen(pid_t pid) {
  const auto figures = figures_of(pid);
  CHECK_MESSAGE(figures.anonymous_kb != 0, "nothing is seen of process ", pid);
  CHECK_MESSAGE((::geteuid() != 0 || figures.descriptors != 0), "no descriptors are seen of process ", pid);
  CHECK_MESSAGE((::geteuid() != 0 || figures.mappings != 0), "no mappings are seen of process ", pid);
  return figures;
}

ProcessFigures figures_of_all(const std::vector<pid_t>& pids) {
  ProcessFigures sum;
  for (const auto pid : pids) {
    const auto one = figures_seen(pid);
    sum.resident_kb += one.resident_kb;
    sum.anonymous_kb += one.anonymous_kb;
    sum.descriptors += one.descriptors;
    sum.mappings += one.mappings;
  }
  return sum;
}

std::string words_of_ports(const config::Config& config) {
  std::string words;
  for (const auto& group : config.groups) words += test::words_of(test::port_facts(group.name));
  return words;
}

}  // namespace

Held look_at(const config::Config& config) {
  Held held;
  const auto& groups = config.groups;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (const auto& client : test::group_facts(groups[i].name).clients) {
      ++held.clients;
      held.channels += client.channels;
      held.slots += client.slots_held;
      held.in_flight += client.in_flight;
    }
    test::look_at_group(groups[i].name, [&](const shm::GroupView& view) { add_upstreams(view, i == 0, held); });
    add_ports(groups[i].name, held);
  }
  return held;
}

std::string too_much(const Held& held, std::size_t residents_attached) {
  std::string words;
  const auto complain = [&](const char* what, std::uint64_t count, std::uint64_t allowed) {
    if (count > allowed) words += std::string(what) + "=" + std::to_string(count) + " ";
  };
  complain("clients", held.clients, residents_attached);  // fewer: one has not asked since the engine was killed
  complain("slots", held.slots, 0);
  complain("in_flight", held.in_flight, 0);
  complain("streams", held.streams, 0);
  complain("sessions_missing", held.sessions_missing, 0);
  complain("ports", held.ports, 0);
  return words;
}

QuietPoint await_quiet(const Watched& watched) {
  std::string left;
  test::eventually([&] {
    left = too_much(look_at(watched.config), watched.residents_attached);
    return left.empty();
  });
  CHECK_MESSAGE(left.empty(), "left when all is quiet: ", left, words_of_ports(watched.config));
  return {.at_s = 0,
          .engine_pid = watched.engine,
          .engine = figures_seen(watched.engine),
          .broker = figures_seen(watched.broker),
          .residents = figures_of_all(watched.residents),
          .held = look_at(watched.config)};
}

}  // namespace tlsmux::soak
