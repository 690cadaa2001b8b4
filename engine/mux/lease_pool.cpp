#include "engine/mux/lease_pool.hpp"

#include <algorithm>

#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine::mux {
namespace {

// So much earlier than the host says that it closes an idle connection, or half of that.
constexpr std::uint64_t kHostMarginMs = 1'000;

std::optional<std::uint64_t> shorter(std::optional<std::uint64_t> one, std::uint64_t other) {
  return one ? std::min(*one, other) : other;
}

// Null: where nobody minds how a stream leaves its session, another may have it. But none could make anything of the rest
// of a message, or of an answer to somebody else. Hosts that have never sent anything are not expected to answer, unless by
// their protocol.
const char* why_nobody_can(const Upstream& upstream, const Session& session, bool has_read_all) {
  const auto& lease = session.lease;
  const bool is_known = lease.boundary != nullptr && lease.boundary->is_understood();
  if (is_known && lease.boundary->is_within_question()) return "its stream has ended within a message";
  if (lease.boundary != nullptr && lease.boundary->is_last()) return "its messages say that the connection ends";
  const bool hosts_answer = upstream.hosts_answer || upstream.settings->framing.kind == config::FramingKind::http1;
  if (!lease.is_touched || !hosts_answer) return nullptr;
  const bool is_owed = is_known ? lease.boundary->is_owed() : lease.has_last_word;
  if (is_owed) return "its stream has ended before the host had answered";
  return is_known || has_read_all ? nullptr : "its stream has ended before it had read all";
}

}  // namespace

bool is_between_messages(const Lease& lease) {
  return lease.boundary != nullptr && lease.boundary->is_clean() && !lease.boundary->is_owed();
}

bool is_free(const Session& session) {
  const bool is_quiet = session.wire.empty() && session.own_words.empty() && !session.exchange.is_open();
  return session.is_up() && !session.is_leased() && is_quiet && session.cutter->at_boundary();
}

std::uint32_t sessions_for_leases(const Upstream& upstream, std::uint32_t sessions_max) {
  auto needed = static_cast<std::uint32_t>(upstream.lease_queue.size());
  std::uint32_t there = 0;
  for (const auto* session : upstream.sessions) {
    if (session->closing || session->replaces != kNone) continue;
    if (session->is_up() && !is_free(*session)) ++needed;
    if (session->is_up() || session->is_starting()) ++there;
  }
  const auto sessions = upstream.settings->sessions;
  return std::clamp(std::max(needed, there), sessions, std::max(sessions, sessions_max));
}

std::optional<std::uint64_t> idle_end_ns(const Upstream& upstream, const Session& session) {
  const auto& settings = *upstream.settings;
  std::optional<std::uint64_t> longest_ms;
  // A connection that has not been used is kept open for longer by most hosts, and closed by the others.
  if (session.requests > 0) {
    if (settings.streams.idle_max_ms != 0) longest_ms = settings.streams.idle_max_ms;
    if (const auto& boundary = session.lease.boundary; boundary != nullptr && boundary->idle_max_s()) {
      const auto host_ms = std::uint64_t{*boundary->idle_max_s()} * 1'000;
      longest_ms = shorter(longest_ms, host_ms - std::min(kHostMarginMs, host_ms / 2));
    }
  }
  if (session.is_extra) longest_ms = shorter(longest_ms, settings.timeouts.session_idle_ms);
  if (!longest_ms) return std::nullopt;
  return session.request_ns + *longest_ms * kNanosecondsPerMillisecond;
}

const char* why_not_again(const Upstream& upstream, const Session& session, bool has_read_all) {
  const auto& lease = session.lease;
  if (lease.host_has_finished) return "the host has closed it";
  if (lease.said_close_notify) return "its stream has ended, and told the host so";
  if (session.is_outdated || lease.is_spent) return "the configuration has changed";
  const auto& settings = *upstream.settings;
  const auto streams_max = settings.rotation.messages_max;
  if (streams_max != 0 && session.requests >= streams_max) return "it has carried messages_max";
  switch (settings.streams.reuse) {
    case config::StreamReuse::always: return why_nobody_can(upstream, session, has_read_all);
    case config::StreamReuse::never: return "its stream has ended, and it is not to be used again";
    case config::StreamReuse::at_boundary: break;
  }
  if (TMX_HAS_BUG(give_back_owed) && lease.boundary != nullptr && lease.boundary->is_understood()) return nullptr;
  if (!lease.is_touched || is_between_messages(lease)) return nullptr;
  if (lease.boundary == nullptr) return "its stream has ended, and where a message ends is not known";
  return "its stream has ended within a message, or before the host had answered";
}

}  // namespace tlsmux::engine::mux
