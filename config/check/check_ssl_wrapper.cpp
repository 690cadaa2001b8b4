#include "config/check/check_ssl_wrapper.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/peer_rules.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::string_view kRules = "/ssl_wrapper/rules";
constexpr std::string_view kListenerPort = "/ssl_wrapper/listener_port";
constexpr std::string_view kCreatedMax = "/ssl_wrapper/created_max";

const UpstreamSettings* find_upstream(const Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.upstreams, name, &UpstreamSettings::name);
  return found == config.upstreams.end() ? nullptr : &*found;
}

std::string pointer_of(const Config& config, const UpstreamSettings& upstream) {
  return pointer_to("/upstreams", static_cast<std::size_t>(&upstream - config.upstreams.data()));
}

void check_one_of_both(const SslWrapperRule& rule, const std::string& pointer, Findings& findings) {
  const std::string address = pointer_to(pointer, "address");
  const std::string name = pointer_to(pointer, "name");
  if (rule.address.empty() && rule.name.empty()) {
    findings.add(pointer, "says of no connection that it is to be shared; give an address, or a name", {address, name});
  } else if (!rule.address.empty() && !rule.name.empty()) {
    findings.add(name, "there is an address as well; a rule is by one of the two, so remove one, or make two rules",
                 {address});
  }
}

void check_upstream_exists(const Config& config, const SslWrapperRule& rule, const std::string& pointer,
                           Findings& findings) {
  if (rule.upstream.empty() || find_upstream(config, rule.upstream) != nullptr) return;
  std::vector<std::string_view> names;
  for (const UpstreamSettings& upstream : config.upstreams) {
    if (upstream.name.empty()) return;  // reported there, and may be the one meant
    names.push_back(upstream.name);
  }
  if (names.empty()) return;
  findings.add(pointer_to(pointer, "upstream"),
               "no upstream is named " + in_quotes(rule.upstream) + "; " + suggestion(rule.upstream, names));
}

void check_reachable(const std::vector<SslWrapperRule>& rules, std::size_t index, Findings& findings) {
  for (std::size_t i = 0; i < index; ++i) {
    if (!covers(rules[i], rules[index])) continue;
    const std::string earlier = pointer_to(kRules, i);
    return findings.add(pointer_to(kRules, index),
                        "is never reached: " + earlier +
                            " fits all that it could fit, and the first that fits "
                            "counts; move it before that one, or remove it",
                        {earlier});
  }
}

bool has_own_messages(const UpstreamSettings& upstream) {
  return !upstream.sign_on.messages.empty() || !upstream.sign_off.messages.empty() || !upstream.auto_replies.empty() ||
         (upstream.heartbeat.idle_ms > 0 && !upstream.heartbeat.keep_alive);
}

// What a model may not have: trace numbers are counted, and ports reserved, for the upstreams that the file knows.
void check_for_one_host(const UpstreamSettings& model, const std::string& create, const std::string& pointer,
                        Findings& findings) {
  if (has_own_messages(model)) {
    findings.add(create,
                 "the model has messages of the engine's own, which are for one host; remove its sign_on, sign_off, "
                 "auto_replies, and heartbeat.message",
                 {pointer + "/sign_on", pointer + "/sign_off", pointer + "/auto_replies", pointer + "/heartbeat"});
  }
  if (!model.tcp.source_ports.empty()) {
    const std::string source_ports = pointer + "/tcp/source_ports";
    findings.add(create, "the model's ports would be too few for all that are made from it; remove " + source_ports,
                 {source_ports});
  }
}

// The model of upstreams that are made for a name each.
void check_model(const Config& config, const SslWrapperRule& rule, const std::string& pointer, Findings& findings) {
  const std::string create = pointer_to(pointer, "create");
  if (rule.name.empty() && !rule.address.empty()) {
    return findings.add(create, "needs a rule by name: an upstream is made for each name", {pointer});
  }
  const UpstreamSettings* model = find_upstream(config, rule.upstream);
  if (model == nullptr) return;
  const std::string server_name = pointer_of(config, *model) + "/tls/server_name";
  const std::string kind = pointer_of(config, *model) + "/streams/kind";
  if (!model->tls.server_name.empty()) {
    findings.add(create,
                 "the model has a server name, which would be that of all that are made from it; remove " + server_name,
                 {server_name});
  }
  if (model->streams.kind != StreamKind::leased) {
    findings.add(create, "needs a model whose streams are leased; set " + kind + " to \"leased\"",
                 {kind, pointer_of(config, *model) + "/framing"});
  }
  check_for_one_host(*model, create, pointer_of(config, *model), findings);
}

std::uint32_t sessions_max(const UpstreamSettings& upstream) {
  return std::max(upstream.sessions, upstream.sessions_max);
}

// Whether there is room for what rules with `create` may make.
void check_created(const Config& config, Findings& findings) {
  const SslWrapperSettings& wrapper = config.ssl_wrapper;
  const std::string created_max(kCreatedMax);
  std::uint32_t sessions = 0;  // of the largest that may be made
  bool creates = false;
  for (const SslWrapperRule& rule : wrapper.rules) {
    if (!rule.create) continue;
    creates = true;
    if (const auto* model = find_upstream(config, rule.upstream)) sessions = std::max(sessions, sessions_max(*model));
  }
  const std::string is = "is " + std::to_string(wrapper.created_max);
  const std::string rules(kRules);
  if (!creates) {
    if (wrapper.created_max != SslWrapperSettings{}.created_max) {
      findings.add(created_max, "means nothing without a rule with create; remove it", {rules});
    }
    return;
  }
  if (wrapper.created_max == 0) {
    return findings.add(created_max, "is 0, so that rules with create could make nothing; raise it", {rules});
  }
  const std::size_t upstreams = config.upstreams.size() + wrapper.created_max;
  if (upstreams > kUpstreamsMax) {
    return findings.add(created_max,
                        is + ", with which there could be " + std::to_string(upstreams) + " upstreams; the most is " +
                            std::to_string(kUpstreamsMax) + "; lower it",
                        {"/upstreams"});
  }
  std::uint64_t all = std::uint64_t{wrapper.created_max} * sessions;
  for (const UpstreamSettings& upstream : config.upstreams) all += sessions_max(upstream);
  if (all <= kSessionsMax) return;
  findings.add(created_max,
               is + ", with which all upstreams together could have " + std::to_string(all) +
                   " sessions; the most is " + std::to_string(kSessionsMax) +
                   "; lower it, or \"sessions\" or \"sessions_max\" of the model",
               {"/upstreams", rules});
}

bool has_tcp_port(const StaticPortSettings& port, std::uint16_t number) {
  return port.port == number && port.protocol != PortProtocols::udp;
}

bool has_tcp_port(const DynamicPortSettings& range, std::uint16_t number) {
  return range.from <= number && number <= range.to && range.protocols != PortProtocols::udp;
}

void check_listener_port(const Config& config, Findings& findings) {
  const std::uint16_t port = config.ssl_wrapper.listener_port;
  if (port == 0) return;
  const std::string listener_port(kListenerPort);
  if (config.ssl_wrapper.rules.empty()) {
    return findings.add(listener_port, "means nothing without rules; give some, or remove it", {std::string(kRules)});
  }
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const PortSettings& ports = config.groups[i].ports;
    const auto has_it = [port](const auto& entry) { return has_tcp_port(entry, port); };
    if (std::ranges::none_of(ports.static_ports, has_it) && std::ranges::none_of(ports.dynamic, has_it)) continue;
    const std::string group_ports = pointer_to(pointer_to("/groups", i), "ports");
    return findings.add(listener_port,
                        "port " + std::to_string(port) + " is group " + in_quotes(config.groups[i].name) + "'s, by " +
                            group_ports + "; choose another, or 0 for any",
                        {group_ports});
  }
}

}  // namespace

void check_ssl_wrapper(const Config& config, Findings& findings) {
  const std::vector<SslWrapperRule>& rules = config.ssl_wrapper.rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string pointer = pointer_to(kRules, i);
    check_one_of_both(rules[i], pointer, findings);
    check_upstream_exists(config, rules[i], pointer, findings);
    check_reachable(rules, i, findings);
    if (rules[i].create) check_model(config, rules[i], pointer, findings);
  }
  check_created(config, findings);
  check_listener_port(config, findings);
}

}  // namespace tlsmux::config
