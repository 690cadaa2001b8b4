#pragma once

// `tlsmux status` about an upstream, as an operator and as a program sees it.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tests/system/await.hpp"

namespace tlsmux::test {

struct EndpointStatus {
  std::string address;
  std::uint64_t sessions = 0;
  bool is_out = false;
  std::uint64_t failures = 0;
  std::string last_error_reason;
};

struct SessionStatus {
  std::string state;
  std::string endpoint;
  std::uint64_t requests = 0;
  std::uint64_t heartbeats_missed = 0;
};

struct UpstreamStatus {
  std::uint64_t sessions_ready = 0;
  std::uint64_t sessions_wanted = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t answered = 0;
  std::map<std::string, std::uint64_t> not_sent;  // by reason
  std::map<std::string, std::uint64_t> maybe_sent;
  std::uint64_t replies_sent = 0;
  std::uint64_t late = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t orphans_held = 0;
  std::uint64_t orphans_waiting = 0;
  std::uint64_t late_dropped = 0;
  std::string last_error_reason;
  std::string last_error;
  std::vector<EndpointStatus> endpoints;
  std::vector<SessionStatus> sessions;

  [[nodiscard]] std::uint64_t not_sent_in_all() const;
  [[nodiscard]] std::uint64_t maybe_sent_in_all() const;
  [[nodiscard]] std::size_t sessions_at(const std::string& endpoint) const;  // ready ones
};

// Of `tlsmux status --json` for a group of the config, the first unless told otherwise, and its upstream "acquirer".
// Fails the test if the command fails or says nothing of it.
UpstreamStatus acquirer_status(const config::Config& config, std::size_t group = 0);

// What `tlsmux status` prints for that group. Each of `words` must be in it: else the test fails and shows it.
// TLSMUX_SHOW_STATUS in the environment: prints it in any case.
void check_status_text(const config::Config& config, const std::vector<std::string>& words);

// Asks for the status until `condition` holds of it. Fails the test if it does not come to hold.
template <typename Condition>
UpstreamStatus await_status(const config::Config& config, Condition condition) {
  UpstreamStatus status;
  await([&] { return condition(status = acquirer_status(config)); });
  return status;
}

}  // namespace tlsmux::test
