#pragma once

// What `tlsmux status` shows, as plain values read out of a group's tables.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/cli/observe.hpp"

namespace tlsmux::client::cli {

struct SessionStatus {
  std::string state;
  std::int64_t since_s = 0;
  std::string address;
  std::string tls_version;
  std::string suite;
  bool resumed = false;
  std::int64_t certificate_expires_s = 0;  // 0: unknown
  std::uint32_t in_flight = 0;
  std::uint64_t requests = 0;
};

struct UpstreamStatus {
  std::string name;
  std::uint32_t sessions_ready = 0;
  std::uint32_t sessions_wanted = 0;
  std::uint32_t in_flight = 0;  // of all groups
  std::uint32_t queued = 0;     // of all groups
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t answered = 0;
  std::map<std::string, std::uint64_t> not_sent;  // by reason, those that occurred
  std::map<std::string, std::uint64_t> maybe_sent;
  std::uint64_t late = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::int64_t last_error_s = 0;  // 0: never
  std::string last_error_reason;
  std::string last_error;
  std::vector<SessionStatus> sessions;
};

struct ClientStatus {
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::string program;  // as the process calls itself: escape it before a terminal
  std::uint32_t channels = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t slots_held = 0;
  std::uint64_t requests = 0;
  std::int64_t since_s = 0;
};

struct GroupStatus {
  std::string group;
  bool engine_answers = true;
  std::uint32_t engine_pid = 0;
  std::string engine_state;
  std::int64_t engine_started_s = 0;
  std::uint64_t heartbeat_age_ns = 0;
  std::vector<UpstreamStatus> upstreams;
  std::vector<ClientStatus> clients;
};

// `now_ns` is CLOCK_MONOTONIC. Rows that the engine keeps changing, or died while changing, are left out.
GroupStatus report(const ObservedGroup& observed, std::uint64_t now_ns);

}  // namespace tlsmux::client::cli
