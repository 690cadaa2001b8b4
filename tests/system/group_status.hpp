#pragma once

// What a group's tables in shared memory say at one moment, as plain values.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shm/group_part.hpp"
#include "shm/layout.hpp"

namespace tlsmux::test {

using ReasonCounts = std::array<std::uint64_t, shm::kReasonCount>;

struct UpstreamFacts {
  std::string name;
  std::uint32_t sessions_ready = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t queued = 0;
  std::uint64_t handshakes = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t late = 0;
  std::uint64_t answered = 0;
  ReasonCounts not_sent{};
  ReasonCounts maybe_sent{};
  shm::Reason last_error_reason{};
  std::string last_error;
};

struct ClientFacts {
  std::uint64_t client_id = 0;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t channels = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t slots_held = 0;
};

struct GroupFacts {
  std::uint32_t engine_pid = 0;
  shm::EngineState state{};
  std::vector<UpstreamFacts> upstreams;
  std::vector<shm::SessionState> sessions;
  std::vector<ClientFacts> clients;
};

// Of the object that has the group's name now. Fails the test if there is none or a row cannot be read.
GroupFacts group_facts(const std::string& group);
UpstreamFacts upstream_facts(const std::string& group, const std::string& upstream);

// For what the functions above do not tell.
void look_at_group(const std::string& group, const std::function<void(const shm::GroupView&)>& look);

std::uint64_t sum(const ReasonCounts& counts);
inline std::uint64_t count_of(const ReasonCounts& counts, shm::Reason reason) {
  return counts[static_cast<std::size_t>(reason)];
}

}  // namespace tlsmux::test
