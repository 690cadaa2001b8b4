#include "tests/system/engine_config.hpp"

#include <unistd.h>

#include "config/settings_tree.hpp"
#include "tests/host/host_process.hpp"

namespace tlsmux::test {
namespace {

std::string json_of(const config::SettingsNode& node) {
  if (node.kind == config::SettingsNode::Kind::value) return node.value;
  const bool is_object = node.kind == config::SettingsNode::Kind::object;
  std::string members;
  for (const auto& child : node.children) {
    if (!members.empty()) members += ",\n";
    if (is_object) members += config::json_text(child.key) + ": ";
    members += json_of(child);
  }
  return (is_object ? "{" : "[") + members + (is_object ? "}" : "]");
}

}  // namespace

config::Config engine_config(const TemporaryFolder& folder, const std::vector<std::uint16_t>& ports) {
  config::Config config;
  config.engine.control_socket = folder.path() + "/control.sock";
  config::GroupSettings group;
  group.name = unique_group();
  group.users = {std::to_string(::getuid())};
  config::UpstreamSettings upstream;
  upstream.name = "acquirer";
  upstream.groups = {group.name};
  for (const auto port : ports) upstream.endpoints.push_back({.host = "127.0.0.1", .port = port});
  upstream.sessions = 1;
  upstream.tls.ca_file = host::certificate_file("ca.pem");
  upstream.backoff = {.initial_ms = 20, .max_ms = 200, .jitter_percent = 20};
  config.groups.push_back(group);
  config.upstreams.push_back(upstream);
  return config;
}

void set_keyed(config::UpstreamSettings& upstream) {
  upstream.correlation = {.kind = config::CorrelationKind::bytes, .offset = 0, .length = 16, .mask = {}, .iso8583 = {}};
}

void set_large_messages(config::Config& config) {
  constexpr std::uint32_t kLength16Max = 65535;
  for (auto& upstream : config.upstreams) upstream.framing.message_bytes_max = kLength16Max;
  for (auto& group : config.groups) group.memory.slot_bytes = kLength16Max;
}

std::string config_text(const config::Config& config) { return json_of(config::settings_tree(config)) + "\n"; }

}  // namespace tlsmux::test
