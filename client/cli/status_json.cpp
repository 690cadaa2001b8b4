#include <nlohmann/json.hpp>

#include "client/cli/engine_json.hpp"
#include "client/cli/status_text.hpp"

namespace tlsmux::client::cli {
namespace {

using Json = nlohmann::ordered_json;

Json endpoint_json(const EndpointStatus& endpoint) {
  return {{"address", endpoint.address}, {"priority", endpoint.priority},
          {"weight", endpoint.weight},   {"sessions", endpoint.sessions},
          {"is_out", endpoint.is_out},   {"failures", endpoint.failures},
          {"retry_s", endpoint.retry_s}, {"last_error_reason", endpoint.last_error_reason}};
}

Json session_json(const SessionStatus& session) {
  return {{"state", session.state},
          {"since_s", session.since_s},
          {"endpoint", session.endpoint},
          {"address", session.address},
          {"tls_version", session.tls_version},
          {"suite", session.suite},
          {"resumed", session.resumed},
          {"certificate_expires_s", session.certificate_expires_s},
          {"in_flight", session.in_flight},
          {"requests", session.requests},
          {"heard_s", session.heard_s},
          {"heartbeats_missed", session.heartbeats_missed}};
}

Json upstream_json(const UpstreamStatus& upstream) {
  Json sessions = Json::array();
  for (const auto& session : upstream.sessions) sessions.push_back(session_json(session));
  Json endpoints = Json::array();
  for (const auto& endpoint : upstream.endpoints) endpoints.push_back(endpoint_json(endpoint));
  return {{"name", upstream.name},
          {"draining", upstream.draining},
          {"drained", is_drained(upstream)},
          {"sessions_ready", upstream.sessions_ready},
          {"sessions_wanted", upstream.sessions_wanted},
          {"in_flight", upstream.in_flight},
          {"queued", upstream.queued},
          {"handshakes_full", upstream.handshakes_full},
          {"handshakes_resumed", upstream.handshakes_resumed},
          {"answered", upstream.answered},
          {"not_sent", Json(upstream.not_sent)},
          {"maybe_sent", Json(upstream.maybe_sent)},
          {"replies_sent", upstream.replies_sent},
          {"late", upstream.late},
          {"unsolicited", upstream.unsolicited},
          {"keep_alives", upstream.keep_alives},
          {"subscribers", upstream.subscribers},
          {"orphans_held", upstream.orphans_held},
          {"orphans_waiting", upstream.orphans_waiting},
          {"orphans_dropped", upstream.orphans_dropped},
          {"late_dropped", upstream.late_dropped},
          {"unsolicited_dropped", upstream.unsolicited_dropped},
          {"streams", upstream.streams},
          {"streams_lost", upstream.streams_lost},
          {"p50_ns", upstream.p50_ns},
          {"p99_ns", upstream.p99_ns},
          {"last_error_s", upstream.last_error_s},
          {"last_error_reason", upstream.last_error_reason},
          {"last_error", upstream.last_error},
          {"endpoints", endpoints},
          {"sessions", sessions}};
}

Json client_json(const ClientStatus& client) {
  return {{"pid", client.pid},
          {"uid", client.uid},
          {"program", client.program},
          {"channels", client.channels},
          {"in_flight", client.in_flight},
          {"slots_held", client.slots_held},
          {"requests", client.requests},
          {"since_s", client.since_s}};
}

Json group_json(const GroupStatus& status) {
  Json upstreams = Json::array();
  Json clients = Json::array();
  for (const auto& upstream : status.upstreams) upstreams.push_back(upstream_json(upstream));
  for (const auto& client : status.clients) clients.push_back(client_json(client));
  auto json = engine_json(status.engine);
  json["upstreams"] = std::move(upstreams);
  json["clients"] = std::move(clients);
  return json;
}

}  // namespace

std::string status_json(const std::vector<GroupStatus>& groups) {
  Json all = Json::array();
  for (const auto& group : groups) all.push_back(group_json(group));
  constexpr bool kOnlyAscii = true;
  // A program may call itself by bytes that are no UTF-8, or that a terminal takes for orders.
  return Json{{"groups", all}}.dump(2, ' ', kOnlyAscii, Json::error_handler_t::replace) + "\n";
}

}  // namespace tlsmux::client::cli
