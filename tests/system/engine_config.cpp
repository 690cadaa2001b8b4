#include "tests/system/engine_config.hpp"

#include <unistd.h>

#include "tests/host/host_process.hpp"

namespace tlsmux::test {
namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }  // nothing here needs an escape

std::string pair(const std::string& key, const std::string& value) { return quoted(key) + ": " + quoted(value); }
std::string pair(const std::string& key, std::uint64_t value) { return quoted(key) + ": " + std::to_string(value); }

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string object(const std::vector<std::string>& members) { return "{" + joined(members) + "}"; }
std::string member(const std::string& key, const std::string& json) { return quoted(key) + ": " + json; }

template <typename Items, typename TextOf>
std::string list(const std::string& key, const Items& items, TextOf text_of) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + text_of(item);
  return member(key, "[" + text + "]");
}

std::string version(config::TlsVersion version) { return version == config::TlsVersion::tls_1_2 ? "1.2" : "1.3"; }

std::string log_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug: return "debug";
    case config::LogLevel::warning: return "warning";
    case config::LogLevel::error: return "error";
    default: return "info";
  }
}

std::string group_text(const config::GroupSettings& group) {
  const auto& memory = group.memory;
  return object(
      {pair("name", group.name), list("users", group.users, quoted), list("unix_groups", group.unix_groups, quoted),
       member("memory",
              object({pair("clients_max", memory.clients_max), pair("channels_per_client", memory.channels_per_client),
                      pair("slots_per_channel", memory.slots_per_channel), pair("slot_bytes", memory.slot_bytes)}))});
}

std::string tls_text(const config::TlsSettings& tls) {
  return object({pair("server_name", tls.server_name), pair("ca_file", tls.ca_file),
                 pair("certificate_file", tls.certificate_file), pair("key_file", tls.key_file),
                 pair("version_min", version(tls.version_min)), pair("version_max", version(tls.version_max)),
                 member("verify_peer", tls.verify_peer ? "true" : "false")});
}

std::string framing_text(const config::FramingSettings& framing) {
  const bool is_ascii = framing.length_encoding == config::LengthEncoding::ascii;
  return object({pair("length_encoding", is_ascii ? "ascii" : "binary_be"), pair("length_bytes", framing.length_bytes),
                 member("length_includes_itself", framing.length_includes_itself ? "true" : "false"),
                 pair("message_bytes_max", framing.message_bytes_max)});
}

std::string correlation_text(const config::CorrelationSettings& correlation) {
  if (correlation.kind == config::CorrelationKind::fifo) return object({pair("kind", "fifo")});
  return object({pair("kind", "bytes"), pair("offset", correlation.offset), pair("length", correlation.length)});
}

std::string endpoint_text(const config::EndpointSettings& endpoint) {
  return object({pair("host", endpoint.host), pair("port", endpoint.port)});
}

std::string upstream_text(const config::UpstreamSettings& upstream) {
  const auto& timeouts = upstream.timeouts;
  const auto& backoff = upstream.backoff;
  return object(
      {pair("name", upstream.name), list("groups", upstream.groups, quoted),
       list("endpoints", upstream.endpoints, endpoint_text), pair("sessions", upstream.sessions),
       pair("in_flight_max", upstream.in_flight_max), pair("queue_max", upstream.queue_max),
       member("tls", tls_text(upstream.tls)), member("framing", framing_text(upstream.framing)),
       member("correlation", correlation_text(upstream.correlation)),
       member("timeouts",
              object({pair("connect_ms", timeouts.connect_ms), pair("handshake_ms", timeouts.handshake_ms),
                      pair("request_ms", timeouts.request_ms), pair("late_answer_ms", timeouts.late_answer_ms),
                      pair("write_stall_ms", timeouts.write_stall_ms)})),
       member("backoff", object({pair("initial_ms", backoff.initial_ms), pair("max_ms", backoff.max_ms),
                                 pair("jitter_percent", backoff.jitter_percent)}))});
}

}  // namespace

config::Config engine_config(const TestFolder& folder, const std::vector<std::uint16_t>& ports) {
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
  upstream.correlation = {.kind = config::CorrelationKind::bytes, .offset = 0, .length = 16, .mask = {}};
}

void set_large_messages(config::Config& config) {
  constexpr std::uint32_t kLength16Max = 65535;
  for (auto& upstream : config.upstreams) upstream.framing.message_bytes_max = kLength16Max;
  for (auto& group : config.groups) group.memory.slot_bytes = kLength16Max;
}

std::string config_text(const config::Config& config) {
  const auto& engine = config.engine;
  return object({member("engine", object({pair("control_socket", engine.control_socket), pair("user", engine.user),
                                          pair("worker_threads", engine.worker_threads),
                                          pair("in_flight_max", engine.in_flight_max),
                                          pair("drain_timeout_ms", engine.drain_timeout_ms),
                                          member("log", object({pair("level", log_level(engine.log.level)),
                                                                pair("file", engine.log.file)}))})),
                 list("groups", config.groups, group_text), list("upstreams", config.upstreams, upstream_text)}) +
         "\n";
}

}  // namespace tlsmux::test
