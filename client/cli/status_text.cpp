#include "client/cli/status_text.hpp"

#include <array>
#include <cstdio>

#include "client/cli/engine_text.hpp"
#include "client/cli/table.hpp"
#include "client/cli/time_text.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr std::int64_t kCertificateWorryS = 30LL * 24 * 3600;

// Who looks for what is to be reversed finds 0 MAYBE_SENT below.
constexpr const char* kCountedSince =
    "NOTE: all is counted since that start. What clients were told when the engine before it died, MAYBE_SENT too, is "
    "in no "
    "counter: see their own records\n";

std::string latency_text(std::uint64_t ns) {
  if (ns == 0) return "-";
  std::array<char, 32> text{};
  const auto us = static_cast<double>(ns) / 1000;
  if (us < 1000) {
    std::snprintf(text.data(), text.size(), "%.0f us", us);
  } else {
    std::snprintf(text.data(), text.size(), "%.1f ms", us / 1000);
  }
  return text.data();
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t total = 0;
  for (const auto& [reason, count] : counts) total += count;
  return total;
}

std::string reasons_text(const char* outcome, const std::map<std::string, std::uint64_t>& counts) {
  if (counts.empty()) return "";
  std::string text = std::string("  ") + outcome + ":";
  for (const auto& [reason, count] : counts) text += " " + reason + " " + std::to_string(count);
  return text + "\n";
}

std::string certificate_text(const SessionStatus& session, std::int64_t now_s) {
  if (session.certificate_expires_s == 0) return session.resumed ? "(resumed)" : "-";
  const auto left_s = session.certificate_expires_s - now_s;
  if (left_s <= 0) return "EXPIRED " + clock_text(session.certificate_expires_s, "%Y-%m-%d");
  return clock_text(session.certificate_expires_s, "%Y-%m-%d") + (left_s < kCertificateWorryS ? " SOON" : "");
}

std::string health_text(const EndpointStatus& endpoint, std::int64_t now_s) {
  if (!endpoint.is_out) return "healthy";
  const auto left_s = endpoint.retry_s - now_s;
  return "OUT: " + endpoint.last_error_reason + ", failed " + std::to_string(endpoint.failures) +
         (endpoint.failures == 1 ? " time, " : " times, ") +
         (left_s > 0 ? "retry in " + span_text(left_s) : std::string("to be tried by the next session"));
}

std::string heard_text(const SessionStatus& session, std::int64_t now_s) {
  if (session.heard_s == 0) return "-";
  auto text = span_text(now_s - session.heard_s) + " ago";
  const auto missed = session.heartbeats_missed;
  if (missed > 0) text += ", " + std::to_string(missed) + (missed == 1 ? " heartbeat missed" : " heartbeats missed");
  return text;
}

std::string escaped_or_none(const std::string& words) { return words.empty() ? "-" : escaped(words); }

std::string endpoints_text(const UpstreamStatus& upstream, std::int64_t now_s) {
  Table table({"ENDPOINT", "PRIORITY", "WEIGHT", "READY", "HEALTH"});
  for (const auto& endpoint : upstream.endpoints) {
    table.add({escaped(endpoint.address), std::to_string(endpoint.priority), std::to_string(endpoint.weight),
               std::to_string(endpoint.sessions), health_text(endpoint, now_s)});
  }
  return table.text("  ");
}

std::string sessions_text(const UpstreamStatus& upstream, std::int64_t now_s) {
  Table table(
      {"SESSION", "STATE", "FOR", "ADDRESS", "TLS", "SUITE", "CERTIFICATE UNTIL", "IN FLIGHT", "REQUESTS", "HEARD"});
  for (std::size_t i = 0; i < upstream.sessions.size(); ++i) {
    const auto& session = upstream.sessions[i];
    table.add({std::to_string(i), session.state, span_text(now_s - session.since_s), escaped_or_none(session.address),
               escaped_or_none(session.tls_version), escaped_or_none(session.suite), certificate_text(session, now_s),
               std::to_string(session.in_flight), std::to_string(session.requests), heard_text(session, now_s)});
  }
  return table.text("  ");
}

// Streams, and what became of what no request waits for, as far as there is any.
std::string notices_text(const UpstreamStatus& upstream) {
  std::string text;
  if (upstream.streams > 0 || upstream.streams_lost > 0) {
    text += "  streams " + std::to_string(upstream.streams) + ", lost or refused so far " +
            std::to_string(upstream.streams_lost) + "\n";
  }
  if (upstream.replies_sent > 0) {
    text += "  replies to messages of the host " + std::to_string(upstream.replies_sent) + "\n";
  }
  if (upstream.orphans_held > 0) {
    text += "  orphans " + std::to_string(upstream.orphans_held) + ", of which " +
            std::to_string(upstream.orphans_waiting) + " wait for a subscriber\n";
  }
  const auto dropped = upstream.late_dropped + upstream.unsolicited_dropped + upstream.orphans_dropped;
  if (dropped > 0) {
    text += "  dropped: late " + std::to_string(upstream.late_dropped) + " unsolicited " +
            std::to_string(upstream.unsolicited_dropped) + " orphans " + std::to_string(upstream.orphans_dropped) +
            "\n";
  }
  return text;
}

std::string draining_text(const UpstreamStatus& upstream) {
  if (!upstream.draining) return "";
  if (!is_drained(upstream))
    return "  DRAINING: takes no requests, and ends its sessions when those that it has are done\n";
  return "  DRAINED: takes no requests until `tlsmux drain --resume " + escaped(upstream.name) + "`\n";
}

std::string upstream_text(const UpstreamStatus& upstream, std::int64_t now_s) {
  Table table({"UPSTREAM", "SESSIONS", "IN FLIGHT", "QUEUED", "ANSWERED", "NOT_SENT", "MAYBE_SENT", "LATE",
               "UNSOLICITED", "HANDSHAKES", "RESUMED", "P50", "P99"});
  table.add(
      {escaped(upstream.name), std::to_string(upstream.sessions_ready) + "/" + std::to_string(upstream.sessions_wanted),
       std::to_string(upstream.in_flight), std::to_string(upstream.queued), std::to_string(upstream.answered),
       std::to_string(sum(upstream.not_sent)), std::to_string(sum(upstream.maybe_sent)), std::to_string(upstream.late),
       std::to_string(upstream.unsolicited), std::to_string(upstream.handshakes_full + upstream.handshakes_resumed),
       std::to_string(upstream.handshakes_resumed), latency_text(upstream.p50_ns), latency_text(upstream.p99_ns)});
  auto text = table.text();
  text += draining_text(upstream);
  text += endpoints_text(upstream, now_s);
  text += sessions_text(upstream, now_s);
  text += reasons_text("not_sent", upstream.not_sent);
  text += reasons_text("maybe_sent", upstream.maybe_sent);
  text += notices_text(upstream);
  if (upstream.last_error_s != 0) {
    text += "  last error " + span_text(now_s - upstream.last_error_s) + " ago: " + upstream.last_error_reason + " (" +
            escaped(upstream.last_error) + ")\n";
  }
  return text;
}

std::string clients_text(const GroupStatus& status, std::int64_t now_s) {
  if (status.clients.empty()) return "no clients\n";
  Table table({"PID", "UID", "PROGRAM", "CHANNELS", "IN FLIGHT", "SLOTS HELD", "REQUESTS", "ATTACHED FOR"});
  for (const auto& client : status.clients) {
    table.add({std::to_string(client.pid), std::to_string(client.uid), escaped(client.program),
               std::to_string(client.channels), std::to_string(client.in_flight), std::to_string(client.slots_held),
               std::to_string(client.requests), span_text(now_s - client.since_s)});
  }
  return table.text();
}

}  // namespace

std::string status_text(const GroupStatus& status, std::int64_t now_s) {
  auto text = engine_text(status.engine);
  if (status.engine.restarts > 0) text += kCountedSince;
  for (const auto& upstream : status.upstreams) text += "\n" + upstream_text(upstream, now_s);
  return text + "\n" + clients_text(status, now_s);
}

}  // namespace tlsmux::client::cli
