#include "tests/host/report.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tlsmux::host {

void count(CountByName& counts, std::string_view name) {
  const auto found = counts.find(name);
  if (found != counts.end()) {
    ++found->second;
  } else {
    counts.emplace(name, 1);
  }
}

namespace {

using Json = nlohmann::ordered_json;

Json connections_json(const Totals& totals) {
  return {
      {"connections", totals.connections},
      {"connections_open_max", totals.connections_open_max},
      {"connections_refused", totals.connections_refused},
      {"connections_stalled", totals.connections_stalled},
      {"connections_broken", totals.connections_broken},
      {"renegotiations_asked", totals.renegotiations_asked},
      {"closed_by_host", totals.closed_by_host},
      {"closed_by_peer", totals.closed_by_peer},
      {"closed_after_sign_off", totals.closed_after_sign_off},
      {"handshakes_full", totals.handshakes_full},
      {"handshakes_resumed", totals.handshakes_resumed},
      {"handshakes_failed", totals.handshakes_failed},
      {"handshakes_in_progress", totals.handshakes_in_progress},
      {"handshakes_in_progress_max", totals.handshakes_in_progress_max},
  };
}

Json messages_json(const Totals& totals) {
  const auto unanswered = totals.unsolicited - totals.unsolicited_answered - totals.unsolicited_refused;
  return {
      {"received", totals.received},
      {"answered", totals.answered},
      {"refused", totals.refused},
      {"silenced", totals.silenced},
      {"duplicated", totals.duplicated},
      {"late", totals.late},
      {"shuffled", totals.shuffled},
      {"answered_elsewhere", totals.answered_elsewhere},
      {"unsolicited", totals.unsolicited},
      {"unsolicited_answered", totals.unsolicited_answered},
      {"unsolicited_refused", totals.unsolicited_refused},
      {"unsolicited_unanswered", unanswered},
      {"responses", totals.responses},
      {"responses_unmatched", totals.responses_unmatched},
      {"sign_ons", totals.sign_ons},
      {"sign_ons_refused", totals.sign_ons_refused},
      {"sign_offs", totals.sign_offs},
      {"without_sign_on", totals.without_sign_on},
      {"echo_tests", totals.echo_tests},
      {"echo_tests_too_soon", totals.echo_tests_too_soon},
      {"oversize_sent", totals.oversize_sent},
      {"unparsable", totals.unparsable},
      {"tpdu_wrong", totals.tpdu_wrong},
      {"keep_alives", totals.keep_alives},
      {"keep_alives_sent", totals.keep_alives_sent},
      {"session_controls", totals.session_controls},
      {"message_parts", totals.message_parts},
      {"framing_errors", totals.framing_errors},
  };
}

Json names_json(const Totals& totals) {
  return {
      {"messages_by_type", totals.messages_by_type},
      {"unparsable_reasons", totals.unparsable_reasons},
      {"tls_versions", totals.tls_versions},
      {"ciphers", totals.ciphers},
      {"groups", totals.groups},
      {"server_names", totals.server_names},
      {"alpn_protocols", totals.alpn_protocols},
      {"client_certificates", totals.client_certificates},
      {"handshake_failures", totals.handshake_failures},
      {"connection_failures", totals.connection_failures},
      {"source_addresses", totals.source_addresses},
  };
}

Json entry_json(const ConnectionEntry& entry) {
  return {
      {"number", entry.number},
      {"source", entry.source},
      {"opened_us", entry.opened_us},
      {"handshake_done_us", entry.handshake_done_us},
      {"ended_us", entry.ended_us},
      {"handshake", entry.handshake},
      {"end", entry.end},
      {"close_notify", entry.close_notify},
      {"messages", entry.messages},
      {"sign_ons", entry.sign_ons},
      {"sign_offs", entry.sign_offs},
  };
}

}  // namespace

std::expected<void, std::string> write_report(const ReportContent& content, const std::string& path) {
  Json report = {{"report_number", content.number}, {"connections_open", content.connections_open}};
  report.update(connections_json(content.totals));
  report.update(messages_json(content.totals));
  report.update(names_json(content.totals));
  auto& list = report["connection_list"] = Json::array();
  for (const auto& entry : content.connections) list.push_back(entry_json(entry));
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished, std::ios::trunc);
  // A certificate's subject need not be UTF-8.
  file << report.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    return std::unexpected("cannot write the report " + path + ": " + std::strerror(errno));
  }
  return {};
}

}  // namespace tlsmux::host
