#include "config/made_upstreams.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/peer_rules.hpp"
#include "config/session_places.hpp"

namespace tlsmux::config {
namespace {

bool is_digit(char character) { return character >= '0' && character <= '9'; }

// As inet_aton reads it: digits, or hexadecimal ones behind "0x". Then all of the name may be an address.
bool is_number(std::string_view label) { return std::ranges::all_of(label, is_digit) || label.starts_with("0x"); }

bool has_hyphen_at_an_end(std::string_view host) {
  return host.starts_with('-') || host.ends_with('-') || host.contains(".-") || host.contains("-.");
}

const SslWrapperRule* rule_of(const Config& config, const UpstreamSettings& made) {
  const auto& endpoint = made.endpoints.front();
  const auto* const rule = rule_for_name(config.ssl_wrapper, endpoint.host, endpoint.port);
  return rule != nullptr && rule->create ? rule : nullptr;
}

}  // namespace

std::optional<std::string> host_of_server_name(std::string_view server_name) {
  if (server_name.ends_with('.')) server_name.remove_suffix(1);
  std::string host(server_name);
  std::ranges::transform(host, host.begin(), [](char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
  });
  if (host.empty() || host.contains('*') || name_pattern_problem(host) || has_hyphen_at_an_end(host)) {
    return std::nullopt;
  }
  if (is_number(std::string_view(host).substr(host.rfind('.') + 1))) return std::nullopt;
  return host;
}

std::optional<std::string> name_of_made(std::string_view host, std::uint16_t port) {
  auto name = std::string(host) + ":" + std::to_string(port);
  if (name.size() > kNameBytesMax) return std::nullopt;
  return name;
}

UpstreamSettings made_upstream(const UpstreamSettings& model, const std::string& host, std::uint16_t port) {
  auto made = model;
  made.name = host + ":" + std::to_string(port);
  made.endpoints = {{.host = host, .port = port}};
  made.tls.server_name = host;
  return made;
}

const UpstreamSettings* model_of(const Config& config, const SslWrapperRule& rule) {
  const auto found = std::ranges::find(config.upstreams, rule.upstream, &UpstreamSettings::name);
  return rule.upstream.empty() || found == config.upstreams.end() ? nullptr : &*found;
}

const UpstreamSettings* model_of(const Config& config, const UpstreamSettings& made) {
  const auto* const rule = rule_of(config, made);
  return rule == nullptr ? nullptr : model_of(config, *rule);
}

Config with_made(const Config& from, Config to) {
  std::vector<UpstreamSettings> kept;
  for (const auto& upstream : from.upstreams) {
    if (!is_made(upstream) || kept.size() == to.ssl_wrapper.created_max) continue;
    const auto* const model = model_of(to, upstream);
    if (model == nullptr) continue;
    const auto& endpoint = upstream.endpoints.front();
    kept.push_back(made_upstream(*model, endpoint.host, endpoint.port));
  }
  std::ranges::move(kept, std::back_inserter(to.upstreams));
  return to;
}

std::size_t place_in_file(const Config& with_made, std::size_t place) {
  const auto& upstream = with_made.upstreams[place];
  const auto* const model = is_made(upstream) ? model_of(with_made, upstream) : nullptr;
  return model == nullptr ? place : static_cast<std::size_t>(model - with_made.upstreams.data());
}

void point_into_file(const Config& with_made, std::vector<Change>& changes) {
  for (std::size_t place = 0; place < with_made.upstreams.size(); ++place) {
    const auto there = place_in_file(with_made, place);
    if (there == place) continue;
    const auto own = pointer_to("/upstreams", place) + "/";
    for (auto& change : changes) {
      if (change.kind == Change::Kind::removed || !change.pointer.starts_with(own)) continue;
      change.pointer.replace(0, own.size(), pointer_to("/upstreams", there) + "/");
    }
  }
}

MadeRoom room_for_made(const Config& config) {
  MadeRoom room;
  for (const auto& rule : config.ssl_wrapper.rules) {
    const auto* const model = rule.create ? model_of(config, rule) : nullptr;
    if (model == nullptr) continue;
    room.upstreams = config.ssl_wrapper.created_max;
    room.session_places = std::max(room.session_places, session_places(*model));
    room.streams = std::max(room.streams, model->streams.open_max);
  }
  return room;
}

}  // namespace tlsmux::config
