#include <nlohmann/json.hpp>

#include "client/cli/engine_json.hpp"
#include "client/cli/ports_text.hpp"

namespace tlsmux::client::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename Values, typename ToJson>
Json array_of(const Values& values, ToJson to_json) {
  Json all = Json::array();
  for (const auto& each : values) all.push_back(to_json(each));
  return all;
}

Json rules_json(const PortRulesReport& rules) {
  return {
      {"users", array_of(rules.users,
                         [](const PortAccount& each) -> Json { return {{"uid", each.number}, {"user", each.name}}; })},
      {"unix_groups",
       array_of(rules.unix_groups,
                [](const PortAccount& each) -> Json { return {{"gid", each.number}, {"unix_group", each.name}}; })},
      {"static", array_of(rules.static_ports,
                          [](const StaticPortReport& each) -> Json {
                            return {{"port", each.port},
                                    {"protocols", protocol_names(each.protocols)},
                                    {"label", each.label},
                                    {"program", each.program}};
                          })},
      {"dynamic", array_of(rules.dynamic, [](const DynamicPortsReport& each) -> Json {
         return {{"from", each.from}, {"to", each.to}, {"protocols", protocol_names(each.protocols)}};
       })}};
}

Json counts_json(const std::array<std::uint32_t, 2>& counts) {
  Json json = Json::object();
  for (const auto protocol : ports::kProtocols) json[std::string(ports::name(protocol))] = counts[index_of(protocol)];
  return json;
}

Json holder_json(const PortHolderReport& holder) {
  return {{"pid", holder.pid},
          {"uid", holder.uid},
          {"user", holder.user},
          {"program", holder.program},
          {"is_member", holder.is_member ? Json(*holder.is_member) : Json()},
          {"is_descendant", holder.is_descendant}};
}

Json port_json(const PortReport& port) {
  return {{"port", port.port.number},
          {"protocol", ports::name(port.port.protocol)},
          {"state", port.state ? Json(state_name(*port.state)) : Json()},
          {"flags", flag_names(port.flags)},
          {"pid", port.pid},
          {"uid", port.uid},
          {"user", port.user},
          {"program", port.program},
          {"label", port.label},
          {"since_s", port.since_s},
          {"until_s", port.until_s},
          {"socket_inode", port.socket_inode},
          {"held", port.is_held ? Json(*port.is_held) : Json()},
          {"listening", port.is_listening},
          {"lingers", port.lingers},
          {"sockets", port.sockets},
          {"holders", array_of(port.holders, holder_json)},
          {"hidden_uids", port.hidden_uids},
          {"differences", array_of(port.differences, [](const PortDifference& each) -> Json {
             return {{"code", each.code}, {"text", each.text}};
           })}};
}

Json denial_json(const PortDenialReport& denial) {
  return {{"number", denial.number},    {"at_s", denial.at_s},
          {"port", denial.port.number}, {"protocol", ports::name(denial.port.protocol)},
          {"pid", denial.pid},          {"uid", denial.uid},
          {"gid", denial.gid},          {"user", denial.user},
          {"program", denial.program}};
}

Json group_json(const PortsReport& report) {
  auto json = engine_json(report.engine);
  json.update({{"kernel",
                {{"trouble", report.kernel_trouble},
                 {"sees_bound_sockets", report.sees_bound_sockets},
                 {"sockets_hidden", report.sockets_hidden},
                 {"holder_sockets", report.holder_sockets}}},
               {"rules", rules_json(report.rules)},
               {"dynamic_ports", counts_json(report.dynamic_ports)},
               {"dynamic_free", counts_json(report.dynamic_free)},
               {"levels", array_of(report.levels,
                                   [](const PortLevelReport& each) -> Json {
                                     return {
                                         {"level", each.level}, {"state", state_name(each.state)}, {"text", each.text}};
                                   })},
               {"claims", report.claims},
               {"claims_refused", report.claims_refused},
               {"denials", report.denials},
               {"denials_lost", report.denials_lost},
               {"differences", count_differences(report)},
               {"ports", array_of(report.ports, port_json)},
               {"last_denials", array_of(report.last_denials, denial_json)}});
  return json;
}

}  // namespace

std::string ports_json(const std::vector<PortsReport>& groups, JsonLines lines) {
  // A program may call itself by bytes that are no UTF-8, or that a terminal takes for orders.
  constexpr bool kOnlyAscii = true;
  const int indent = lines == JsonLines::many ? 2 : -1;
  return Json{{"groups", array_of(groups, group_json)}}.dump(indent, ' ', kOnlyAscii, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace tlsmux::client::cli
