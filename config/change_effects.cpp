#include "config/change_effects.hpp"

#include <array>
#include <span>

namespace tlsmux::config {
namespace {

constexpr auto kEngine = std::to_array<EffectOfSetting>({
    {"control_socket", Effect::engine_restart, "clients would look for it at its old place"},
    {"state_directory", Effect::engine_restart, "trace numbers go on from what is written in one place"},
    {"user", Effect::engine_restart, "a process cannot become another user"},
    {"shards", Effect::engine_restart, "data loops are started once"},
    {"cpus", Effect::engine_restart, "data loops are started once"},
    {"idle_strategy", Effect::immediate},
    {"worker_threads", Effect::engine_restart, "threads are started once"},
    {"in_flight_max", Effect::engine_restart, "the table of requests is made once"},
    {"drain_timeout_ms", Effect::immediate},
    {"port_sweep_ms", Effect::immediate},
    {"port_guard", Effect::engine_restart, "the guard is put in place before the engine starts"},
    {"confinement", Effect::engine_restart, "what a process has given up it cannot have again"},
    {"log/level", Effect::immediate},
    {"log/file", Effect::engine_restart, "the log is opened before the engine gives up its rights"},
});

constexpr auto kGroup = std::to_array<EffectOfSetting>({
    {"users", Effect::immediate},
    {"unix_groups", Effect::immediate},
    {"memory", Effect::new_clients},
    {"memory/clients_max", Effect::engine_restart, "the group's client directory is laid out once"},
    {"orphans", Effect::immediate},
    {"ports", Effect::immediate},
});

constexpr auto kUpstream = std::to_array<EffectOfSetting>({
    {"groups", Effect::immediate},
    {"endpoints", Effect::new_sessions_replace},
    {"sessions", Effect::immediate},
    {"sessions_max", Effect::immediate},
    {"session_choice", Effect::immediate},
    {"handshakes_max", Effect::immediate},
    {"in_flight_max", Effect::immediate},
    {"queue_max", Effect::immediate},
    {"queue_max_of_client", Effect::immediate},
    {"queue_max_of_group", Effect::immediate},
    {"subscriber_group", Effect::immediate},
    {"tls", Effect::new_sessions_replace},
    {"tls/key_log_file", Effect::new_sessions},
    {"framing", Effect::upstream_restart},
    {"framing/message_bytes_max", Effect::engine_restart,
     "clients were told the present one when they opened channels"},
    {"correlation", Effect::upstream_restart},
    {"timeouts", Effect::immediate},
    {"timeouts/request_ms", Effect::new_channels},
    {"backoff", Effect::immediate},
    {"sign_on", Effect::upstream_restart},
    {"sign_off", Effect::upstream_restart},
    {"heartbeat", Effect::upstream_restart},
    {"auto_replies", Effect::upstream_restart},
    {"rotation", Effect::immediate},
    {"tcp", Effect::new_sessions_replace},
    {"trace_numbers", Effect::engine_restart, "clients hold leases of numbers in the present range"},
    {"streams", Effect::immediate},
    {"streams/kind", Effect::upstream_restart},
    {"streams/order", Effect::new_streams},
});

constexpr auto kSslWrapper = std::to_array<EffectOfSetting>({
    {"rules", Effect::immediate},
    {"listener_port", Effect::engine_restart, "the engine listens once, as soon as it has rules"},
    {"created_max", Effect::immediate},
});

constexpr EffectOfSetting kUnknown{"", Effect::engine_restart, "it is not known how to apply it"};

std::span<const EffectOfSetting> rows(Part part) {
  switch (part) {
    case Part::engine: return kEngine;
    case Part::group: return kGroup;
    case Part::upstream: return kUpstream;
    case Part::ssl_wrapper: return kSslWrapper;
  }
  return {};
}

bool covers(std::string_view row, std::string_view key) {
  return key.starts_with(row) && (key.size() == row.size() || key[row.size()] == '/');
}

}  // namespace

const EffectOfSetting& effect_of(Part part, std::string_view key) {
  const EffectOfSetting* best = &kUnknown;
  for (const EffectOfSetting& row : rows(part)) {
    if (covers(row.key, key) && row.key.size() >= best->key.size()) best = &row;
  }
  return *best;
}

}  // namespace tlsmux::config
