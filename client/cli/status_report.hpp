#pragma once

// What `tlsmux status` shows, as plain values read out of a group's tables: escape the texts before a terminal.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/cli/engine_facts.hpp"
#include "client/cli/observe.hpp"

namespace tlsmux::client::cli {

struct EndpointStatus {
  std::string address;
  std::uint32_t priority = 0;
  std::uint32_t weight = 0;
  std::uint32_t sessions = 0;  // ready ones
  bool is_out = false;         // it failed, and is not used before retry_s
  std::uint32_t failures = 0;  // in a row
  std::int64_t retry_s = 0;    // 0: not out
  std::string last_error_reason;
};

struct SessionStatus {
  std::string state;
  std::int64_t since_s = 0;
  std::string endpoint;  // as configured
  std::string address;
  std::string tls_version;
  std::string suite;
  bool resumed = false;
  std::int64_t certificate_expires_s = 0;  // 0: unknown
  std::uint32_t in_flight = 0;
  std::uint64_t requests = 0;
  std::int64_t heard_s = 0;  // the last sign of life from the host; 0: none
  std::uint32_t heartbeats_missed = 0;
};

struct UpstreamStatus {
  std::string name;
  bool draining = false;  // takes no requests, and ends what it has; see is_drained
  std::uint32_t sessions_ready = 0;
  std::uint32_t sessions_wanted = 0;
  std::uint32_t in_flight = 0;  // of all groups
  std::uint32_t queued = 0;     // of all groups
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t answered = 0;
  std::map<std::string, std::uint64_t> not_sent;  // by reason, those that occurred
  std::map<std::string, std::uint64_t> maybe_sent;
  std::uint64_t replies_sent = 0;  // to messages of the host; not among maybe_sent, since nothing is in doubt
  std::uint64_t late = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t keep_alives = 0;
  std::uint32_t subscribers = 0;      // channels of the group that have subscribed to anything
  std::uint32_t orphans_held = 0;     // in the group's store
  std::uint32_t orphans_waiting = 0;  // of these, for a subscriber
  std::uint64_t orphans_dropped = 0;
  std::uint64_t late_dropped = 0;
  std::uint64_t unsolicited_dropped = 0;
  std::uint32_t streams = 0;
  std::uint64_t streams_lost = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p99_ns = 0;
  std::int64_t last_error_s = 0;  // 0: never
  std::string last_error_reason;
  std::string last_error;
  std::vector<EndpointStatus> endpoints;
  std::vector<SessionStatus> sessions;
};

struct ClientStatus {
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::string program;  // as the process calls itself
  std::uint32_t channels = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t slots_held = 0;
  std::uint64_t requests = 0;
  std::int64_t since_s = 0;
};

struct GroupStatus {
  EngineFacts engine;
  std::vector<UpstreamStatus> upstreams;
  std::vector<ClientStatus> clients;
};

// It takes no requests, and has none and no session left.
bool is_drained(const UpstreamStatus& upstream);

// `now_ns` is CLOCK_MONOTONIC. Rows that the engine keeps changing, or died while changing, are left out.
GroupStatus report(const ObservedGroup& observed, std::uint64_t now_ns);

}  // namespace tlsmux::client::cli
