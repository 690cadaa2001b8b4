// The C header repeats numbers that the segment's layout fixes.
#include <doctest/doctest.h>
#include <tlsmux/tlsmux.h>

#include <cerrno>
#include <string_view>

#include "shm/control_protocol.hpp"
#include "shm/outcome.hpp"

using tlsmux::shm::Outcome;
using tlsmux::shm::Reason;

namespace {

constexpr bool same(tmx_reason theirs, Reason ours) { return static_cast<int>(theirs) == static_cast<int>(ours); }

static_assert(TMX_ANSWERED == static_cast<int>(Outcome::answered));
static_assert(TMX_NOT_SENT == static_cast<int>(Outcome::not_sent));
static_assert(TMX_MAYBE_SENT == static_cast<int>(Outcome::maybe_sent));

static_assert(same(TMX_REASON_NONE, Reason::none));
static_assert(same(TMX_REASON_OVERLOAD, Reason::overload));
static_assert(same(TMX_REASON_DUPLICATE_KEY, Reason::duplicate_key));
static_assert(same(TMX_REASON_UNPARSABLE, Reason::unparsable));
static_assert(same(TMX_REASON_NO_SESSION, Reason::no_session));
static_assert(same(TMX_REASON_NAME_NOT_RESOLVED, Reason::name_not_resolved));
static_assert(same(TMX_REASON_CONNECT_REFUSED, Reason::connect_refused));
static_assert(same(TMX_REASON_CONNECT_TIMEOUT, Reason::connect_timeout));
static_assert(same(TMX_REASON_CONNECT_FAILED, Reason::connect_failed));
static_assert(same(TMX_REASON_HANDSHAKE_TIMEOUT, Reason::handshake_timeout));
static_assert(same(TMX_REASON_HANDSHAKE_FAILED, Reason::handshake_failed));
static_assert(same(TMX_REASON_CERTIFICATE_UNTRUSTED, Reason::certificate_untrusted));
static_assert(same(TMX_REASON_CERTIFICATE_EXPIRED, Reason::certificate_expired));
static_assert(same(TMX_REASON_CERTIFICATE_WRONG_NAME, Reason::certificate_wrong_name));
static_assert(same(TMX_REASON_CERTIFICATE_MISSING, Reason::certificate_missing));
static_assert(same(TMX_REASON_CERTIFICATE_REVOKED, Reason::certificate_revoked));
static_assert(same(TMX_REASON_CERTIFICATE_REJECTED_BY_HOST, Reason::certificate_rejected_by_host));
static_assert(same(TMX_REASON_NO_COMMON_SUITE, Reason::no_common_suite));
static_assert(same(TMX_REASON_NO_COMMON_VERSION, Reason::no_common_version));
static_assert(same(TMX_REASON_NOT_PERMITTED, Reason::not_permitted));
static_assert(same(TMX_REASON_ENGINE_DRAINING, Reason::engine_draining));
static_assert(same(TMX_REASON_CERTIFICATE_PIN_MISMATCH, Reason::certificate_pin_mismatch));
static_assert(same(TMX_REASON_SIGN_ON_REFUSED, Reason::sign_on_refused));
static_assert(same(TMX_REASON_SIGN_ON_TIMEOUT, Reason::sign_on_timeout));
static_assert(same(TMX_REASON_UPSTREAM_DRAINING, Reason::upstream_draining));
static_assert(same(TMX_REASON_UPSTREAM_REMOVED, Reason::upstream_removed));
static_assert(same(TMX_REASON_HOST_CLOSED, Reason::host_closed));
static_assert(same(TMX_REASON_CONNECTION_LOST, Reason::connection_lost));
static_assert(same(TMX_REASON_WRITE_STALLED, Reason::write_stalled));
static_assert(same(TMX_REASON_STREAM_CORRUPT, Reason::stream_corrupt));
static_assert(same(TMX_REASON_RECORD_CORRUPT, Reason::record_corrupt));
static_assert(same(TMX_REASON_REPLY_SENT, Reason::reply_sent));
static_assert(same(TMX_REASON_HEARTBEAT_MISSED, Reason::heartbeat_missed));
static_assert(same(TMX_REASON_HOST_SILENT, Reason::host_silent));
static_assert(same(TMX_REASON_DEADLINE, Reason::deadline));
static_assert(same(TMX_REASON_CANCELLED, Reason::cancelled));
static_assert(same(TMX_REASON_ENGINE_DIED, Reason::engine_died));
static_assert(same(TMX_REASON_CLIENT_DIED, Reason::client_died));
static_assert(same(TMX_REASON_DETACHED, Reason::detached));

constexpr bool same(unsigned theirs, tlsmux::shm::ChannelFlags ours) { return theirs == static_cast<unsigned>(ours); }

static_assert(same(TMX_LATE_ANSWERS, tlsmux::shm::kLateAnswers));
static_assert(same(TMX_SUBSCRIBE_LATE, tlsmux::shm::kSubscribeLate));
static_assert(same(TMX_SUBSCRIBE_UNSOLICITED, tlsmux::shm::kSubscribeUnsolicited));
static_assert(same(TMX_SUBSCRIBE_ORPHANS, tlsmux::shm::kSubscribeOrphans));

bool in_header(int reason) {
  return (reason >= TMX_REASON_NONE && reason <= TMX_REASON_UPSTREAM_REMOVED) ||
         (reason >= TMX_REASON_HOST_CLOSED && reason <= TMX_REASON_HOST_SILENT) ||
         (reason >= TMX_REASON_DEADLINE && reason <= TMX_REASON_DETACHED);
}

}  // namespace

TEST_CASE("client.the header knows every reason of the layout") {
  for (int number = 0; number < static_cast<int>(tlsmux::shm::kReasonCount); ++number) {
    const auto name = tlsmux::shm::reason_name(static_cast<Reason>(number));
    CAPTURE(number);
    CHECK(in_header(number) == (name != "unknown"));
    CHECK(tmx_reason_name(static_cast<tmx_reason>(number)) == name);
    CHECK(tmx_reason_text(static_cast<tmx_reason>(number)) == tlsmux::shm::reason_text(static_cast<Reason>(number)));
  }
}

TEST_CASE("client.an engine that was stopped has ended, too") {
  CHECK(tmx_reason_text(TMX_REASON_ENGINE_DIED) == std::string_view("the engine has ended"));
}

TEST_CASE("client.errors of streams have words of their own, and shared ones are true of both") {
  CHECK(std::string_view(tmx_error_text(-EAGAIN)).starts_with("not possible at the moment: try again (on a channel"));
  CHECK(std::string_view(tmx_error_text(-ETIMEDOUT)).contains("on a stream"));
  CHECK(std::string_view(tmx_error_text(-ECONNABORTED)).starts_with("the stream was refused"));
  CHECK(std::string_view(tmx_error_text(-ECONNRESET)).contains("on a stream"));
  CHECK(std::string_view(tmx_error_text(-EPIPE)).contains("shut down for writing"));
}

TEST_CASE("client.numbers of a later version have words too") {
  CHECK(tmx_reason_name(static_cast<tmx_reason>(1'000'000)) == std::string_view("unknown"));
  CHECK(tmx_outcome_name(static_cast<tmx_outcome>(99)) == std::string_view("UNKNOWN"));
  CHECK(tmx_outcome_name(TMX_MAYBE_SENT) == std::string_view("MAYBE_SENT"));
  CHECK(std::string_view(tmx_error_text(-EAGAIN)).contains("try again"));
  CHECK(tmx_error_text(-EAGAIN) == std::string_view(tmx_error_text(EAGAIN)));
  CHECK(tmx_error_text(-EIO) == std::string_view("Input/output error"));
  CHECK(tmx_error_text(-987654) == std::string_view("an unknown error"));
  CHECK(tmx_version() == std::string_view(TLSMUX_VERSION));
}
