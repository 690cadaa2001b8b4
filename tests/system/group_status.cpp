#include "tests/system/group_status.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

#include "shm/control_protocol.hpp"
#include "shm/segment.hpp"
#include "tests/system/read_surely.hpp"

namespace tlsmux::test {
namespace {

UpstreamFacts facts_of(const shm::UpstreamRow& row) {
  return {.name = std::string(shm::text_of(row.name)),
          .sessions_ready = row.sessions_ready,
          .in_flight = row.in_flight,
          .queued = row.queued,
          .handshakes = row.handshakes_full + row.handshakes_resumed,
          .unsolicited = row.unsolicited,
          .late = row.late,
          .answered = row.answered,
          .not_sent = row.not_sent,
          .maybe_sent = row.maybe_sent,
          .last_error_reason = row.last_error_reason,
          .last_error = std::string(shm::text_of(row.last_error))};
}

GroupFacts facts_of(const shm::GroupView& view) {
  GroupFacts facts{.engine_pid = view.header().engine_pid,
                   .state = view.header().state.load(),
                   .upstreams = {},
                   .sessions = {},
                   .clients = {}};
  for (std::uint32_t i = 0; i < view.upstreams().size(); ++i) {
    shm::UpstreamRow row;
    read_surely(view.upstreams()[i], row);
    if (row.in_use != 0) facts.upstreams.push_back(facts_of(row));
  }
  for (std::uint32_t i = 0; i < view.sessions().size(); ++i) {
    shm::SessionRow row;
    read_surely(view.sessions()[i], row);
    if (row.in_use != 0) facts.sessions.push_back(row.state);
  }
  for (std::uint32_t i = 0; i < view.clients().size(); ++i) {
    shm::ClientRow row;
    read_surely(view.clients()[i], row);
    if (row.pid == 0) continue;
    const auto known = std::ranges::find(facts.clients, row.client_id, &ClientFacts::client_id);
    if (known != facts.clients.end()) {  // it has a row with each shard that serves it
      known->channels += row.channels;
      known->in_flight += row.in_flight;
      known->slots_held += row.slots_held;
      continue;
    }
    facts.clients.push_back({.client_id = row.client_id,
                             .pid = row.pid,
                             .uid = row.uid,
                             .channels = row.channels,
                             .in_flight = row.in_flight,
                             .slots_held = row.slots_held});
  }
  return facts;
}

}  // namespace

void look_at_group(const std::string& group, const std::function<void(const shm::GroupView&)>& look) {
  const auto object = shm::open_group_object(group);
  REQUIRE(object);
  struct stat status{};
  REQUIRE(::fstat(object->get(), &status) == 0);
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const auto mapping = shm::Mapping::map(object->get(), bytes, shm::Access::read_only);
  REQUIRE(mapping);
  const auto view = shm::GroupView::open(mapping->bytes());
  REQUIRE(view);
  look(*view);
}

GroupFacts group_facts(const std::string& group) {
  GroupFacts facts;
  look_at_group(group, [&](const shm::GroupView& view) { facts = facts_of(view); });
  return facts;
}

UpstreamFacts upstream_facts(const std::string& group, const std::string& upstream) {
  for (auto& facts : group_facts(group).upstreams) {
    if (facts.name == upstream) return facts;
  }
  return {};  // not written yet
}

std::uint64_t sum(const ReasonCounts& counts) { return std::accumulate(counts.begin(), counts.end(), 0ULL); }

}  // namespace tlsmux::test
