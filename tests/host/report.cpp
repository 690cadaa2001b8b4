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

std::expected<void, std::string> write_report(const Totals& totals, std::size_t connections_open,
                                              const std::string& path) {
  const nlohmann::ordered_json report = {
      {"connections", totals.connections},
      {"connections_open", connections_open},
      {"connections_refused", totals.connections_refused},
      {"connections_stalled", totals.connections_stalled},
      {"connections_broken", totals.connections_broken},
      {"closed_by_host", totals.closed_by_host},
      {"closed_by_peer", totals.closed_by_peer},
      {"handshakes_full", totals.handshakes_full},
      {"handshakes_resumed", totals.handshakes_resumed},
      {"handshakes_failed", totals.handshakes_failed},
      {"received", totals.received},
      {"answered", totals.answered},
      {"refused", totals.refused},
      {"silenced", totals.silenced},
      {"duplicated", totals.duplicated},
      {"unsolicited", totals.unsolicited},
      {"oversize_sent", totals.oversize_sent},
      {"unparsable", totals.unparsable},
      {"responses", totals.responses},
      {"keep_alives", totals.keep_alives},
      {"framing_errors", totals.framing_errors},
      {"messages_by_type", totals.messages_by_type},
      {"unparsable_reasons", totals.unparsable_reasons},
      {"tls_versions", totals.tls_versions},
      {"ciphers", totals.ciphers},
      {"client_certificates", totals.client_certificates},
      {"handshake_failures", totals.handshake_failures},
  };
  const std::string unfinished = path + ".unfinished";
  std::ofstream file(unfinished, std::ios::trunc);
  // A certificate's subject need not be UTF-8.
  file << report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    return std::unexpected("cannot write the report " + path + ": " + std::strerror(errno));
  }
  return {};
}

}  // namespace tlsmux::host
