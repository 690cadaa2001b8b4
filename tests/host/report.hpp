#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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
  std::uint64_t handshakes_in_progress = 0;  // now; from the TCP connection on
  std::uint64_t handshakes_in_progress_max = 0;
  std::uint64_t connections_open_max = 0;
  std::uint64_t closed_by_host = 0;
  std::uint64_t closed_by_peer = 0;         // with close_notify
  std::uint64_t closed_after_sign_off = 0;  // of these, after a sign-off on the same connection
  std::uint64_t connections_broken = 0;     // ended by the peer without close_notify, or by an error
  std::uint64_t renegotiations_asked = 0;   // by the host: new handshakes (TLS 1.2) or new keys (TLS 1.3)

  std::uint64_t received = 0;
  std::uint64_t answered = 0;  // messages of which an answer was queued for sending
  std::uint64_t refused = 0;   // of these, with a refusal
  std::uint64_t silenced = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t late = 0;
  std::uint64_t shuffled = 0;            // answers that went through the window of --shuffle
  std::uint64_t answered_elsewhere = 0;  // answers sent on another session than the request came on

  std::uint64_t unsolicited = 0;           // own requests
  std::uint64_t unsolicited_answered = 0;  // on the same session, with 39=00
  std::uint64_t unsolicited_refused = 0;   // with another field 39
  std::uint64_t responses = 0;             // received ones, such as 0810
  std::uint64_t responses_unmatched = 0;   // of these, to no request of the host on that session

  std::uint64_t sign_ons = 0;
  std::uint64_t sign_ons_refused = 0;  // or not answered
  std::uint64_t sign_offs = 0;
  std::uint64_t without_sign_on = 0;  // requests that came where a sign-on was missing
  std::uint64_t echo_tests = 0;
  std::uint64_t echo_tests_too_soon = 0;

  std::uint64_t oversize_sent = 0;
  std::uint64_t unparsable = 0;
  std::uint64_t tpdu_wrong = 0;  // messages with another TPDU than --tpdu says
  std::uint64_t keep_alives = 0;
  std::uint64_t keep_alives_sent = 0;  // without the echoes
  std::uint64_t session_controls = 0;
  std::uint64_t message_parts = 0;  // frames that said that the message goes on
  std::uint64_t framing_errors = 0;

  CountByName handshake_failures;
  CountByName connection_failures;  // after the handshake
  CountByName tls_versions;
  CountByName ciphers;
  CountByName client_certificates;  // subjects
  CountByName server_names;         // asked for by SNI
  CountByName alpn_protocols;       // chosen
  CountByName groups;               // key exchange
  CountByName source_addresses;
  CountByName messages_by_type;
  CountByName unparsable_reasons;
};

void count(CountByName& counts, std::string_view name);

// One connection, as the report's "connection_list" has it.
struct ConnectionEntry {
  std::uint64_t number = 0;  // from 1, in the order in which they were accepted
  std::string source;        // ADDRESS:PORT
  // Microseconds since the host was started; 0: not yet.
  std::uint64_t opened_us = 0;
  std::uint64_t handshake_done_us = 0;
  std::uint64_t ended_us = 0;
  std::string handshake = "in_progress";  // then full, resumed or failed
  std::string end = "open";               // then closed_by_peer (with close_notify), closed_by_host or broken
  bool close_notify = false;              // the peer has said it
  std::uint64_t messages = 0;
  std::uint64_t sign_ons = 0;
  std::uint64_t sign_offs = 0;
};

// All that a report says. `number` counts the reports of a run, from 1.
struct ReportContent {
  const Totals& totals;
  const std::vector<ConnectionEntry>& connections;
  std::uint64_t number = 0;
  std::size_t connections_open = 0;
};

// Writes it as JSON, by renaming a finished file, so that a reader never sees half of it.
std::expected<void, std::string> write_report(const ReportContent& content, const std::string& path);

}  // namespace tlsmux::host
