#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace tlsmux::host {

using CountByName = std::map<std::string, std::uint64_t, std::less<>>;

// Everything the host counts, under the names that the report uses.
struct Totals {
  std::uint64_t connections = 0;
  std::uint64_t connections_refused = 0;  // over --connections-max
  std::uint64_t connections_stalled = 0;  // under --handshake-stall
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t handshakes_failed = 0;
  std::uint64_t closed_by_host = 0;
  std::uint64_t closed_by_peer = 0;      // with close_notify
  std::uint64_t connections_broken = 0;  // ended by the peer without close_notify, or by an error

  std::uint64_t received = 0;
  std::uint64_t answered = 0;  // messages of which an answer was queued for sending
  std::uint64_t refused = 0;   // of these, with a refusal
  std::uint64_t silenced = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t oversize_sent = 0;
  std::uint64_t unparsable = 0;
  std::uint64_t responses = 0;  // received ones, such as 0810
  std::uint64_t keep_alives = 0;
  std::uint64_t framing_errors = 0;

  CountByName handshake_failures;
  CountByName tls_versions;
  CountByName ciphers;
  CountByName client_certificates;  // subjects
  CountByName messages_by_type;
  CountByName unparsable_reasons;
};

void count(CountByName& counts, std::string_view name);

// Writes the totals as JSON, by renaming a finished file, so that a reader never sees half of it.
std::expected<void, std::string> write_report(const Totals& totals, std::size_t connections_open,
                                              const std::string& path);

}  // namespace tlsmux::host
