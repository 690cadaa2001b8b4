#include "shm/outcome.hpp"

#include <algorithm>
#include <array>

namespace tlsmux::shm {
namespace {

struct ReasonWords {
  Reason reason;
  std::string_view name;
  std::string_view text;
};

constexpr auto kReasons = std::to_array<ReasonWords>({
    {Reason::none, "none", "no particular reason"},
    {Reason::overload, "overload", "the queue or the in-flight limit is full; try again later"},
    {Reason::duplicate_key, "duplicate_key", "a request with the same correlation key is in flight"},
    {Reason::unparsable, "unparsable", "the correlation key cannot be read from the message"},
    {Reason::no_session, "no_session", "no session to the upstream is up"},
    {Reason::name_not_resolved, "name_not_resolved", "the host name does not resolve"},
    {Reason::connect_refused, "connect_refused", "the host refused the connection"},
    {Reason::connect_timeout, "connect_timeout", "the host did not answer the connect in time"},
    {Reason::connect_failed, "connect_failed", "the connection could not be made"},
    {Reason::handshake_timeout, "handshake_timeout", "the TLS handshake did not finish in time"},
    {Reason::handshake_failed, "handshake_failed", "the TLS handshake failed"},
    {Reason::certificate_untrusted, "certificate_untrusted", "no configured CA vouches for the host's certificate"},
    {Reason::certificate_expired, "certificate_expired", "the host's certificate is expired or not yet valid"},
    {Reason::certificate_wrong_name, "certificate_wrong_name", "the host's certificate is for another name"},
    {Reason::certificate_missing, "certificate_missing", "the host presented no certificate"},
    {Reason::certificate_revoked, "certificate_revoked", "the host's certificate is revoked"},
    {Reason::certificate_rejected_by_host, "certificate_rejected_by_host",
     "the host rejected or demands a client certificate"},
    {Reason::no_common_suite, "no_common_suite", "the host offers no acceptable cipher suite"},
    {Reason::no_common_version, "no_common_version", "the host offers no acceptable TLS version"},
    {Reason::not_permitted, "not_permitted", "the group may not use this upstream"},
    {Reason::engine_draining, "engine_draining", "the engine is shutting down"},
    {Reason::certificate_pin_mismatch, "certificate_pin_mismatch", "the host's key is none of the pinned ones"},
    {Reason::sign_on_refused, "sign_on_refused", "the host refused the sign-on"},
    {Reason::sign_on_timeout, "sign_on_timeout", "the host did not answer the sign-on in time"},
    {Reason::upstream_draining, "upstream_draining", "the upstream is being drained"},
    {Reason::upstream_removed, "upstream_removed", "the upstream is no longer configured"},
    {Reason::host_closed, "host_closed", "the host closed the session before it answered"},
    {Reason::connection_lost, "connection_lost", "the connection broke before the answer came"},
    {Reason::write_stalled, "write_stalled", "the host stopped taking bytes"},
    {Reason::stream_corrupt, "stream_corrupt", "the host's messages cannot be told apart any more"},
    {Reason::record_corrupt, "record_corrupt", "a TLS record from the host did not verify"},
    {Reason::reply_sent, "reply_sent", "the reply was handed to the wire; nothing comes back for it"},
    {Reason::heartbeat_missed, "heartbeat_missed", "the host stopped answering heartbeats"},
    {Reason::host_silent, "host_silent", "the host sent nothing while requests were in flight"},
    {Reason::deadline, "deadline", "the deadline passed"},
    {Reason::cancelled, "cancelled", "the caller cancelled it"},
    {Reason::engine_died, "engine_died", "the engine has ended"},
    {Reason::client_died, "client_died", "the asking process died"},
    {Reason::detached, "detached", "the client was detached"},
});

const ReasonWords* find(Reason reason) {
  const auto* found = std::ranges::find(kReasons, reason, &ReasonWords::reason);
  return found == kReasons.end() ? nullptr : found;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::none: return "NONE";
    case Outcome::answered: return "ANSWERED";
    case Outcome::not_sent: return "NOT_SENT";
    case Outcome::maybe_sent: return "MAYBE_SENT";
  }
  return "UNKNOWN";
}

std::string_view reason_name(Reason reason) {
  const auto* words = find(reason);
  return words != nullptr ? words->name : "unknown";
}

std::string_view reason_text(Reason reason) {
  const auto* words = find(reason);
  return words != nullptr ? words->text : "a reason this version does not know";
}

}  // namespace tlsmux::shm
