#include "shm/outcome.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

using namespace tlsmux::shm;

namespace {

struct Numbered {
  Reason reason;
  int number;
  std::string_view name;
};

// The numbers are published: append only.
constexpr Numbered kReasons[] = {
    {Reason::none, 0, "none"},
    {Reason::overload, 1, "overload"},
    {Reason::duplicate_key, 2, "duplicate_key"},
    {Reason::unparsable, 3, "unparsable"},
    {Reason::no_session, 4, "no_session"},
    {Reason::name_not_resolved, 5, "name_not_resolved"},
    {Reason::connect_refused, 6, "connect_refused"},
    {Reason::connect_timeout, 7, "connect_timeout"},
    {Reason::connect_failed, 8, "connect_failed"},
    {Reason::handshake_timeout, 9, "handshake_timeout"},
    {Reason::handshake_failed, 10, "handshake_failed"},
    {Reason::certificate_untrusted, 11, "certificate_untrusted"},
    {Reason::certificate_expired, 12, "certificate_expired"},
    {Reason::certificate_wrong_name, 13, "certificate_wrong_name"},
    {Reason::certificate_missing, 14, "certificate_missing"},
    {Reason::certificate_revoked, 15, "certificate_revoked"},
    {Reason::certificate_rejected_by_host, 16, "certificate_rejected_by_host"},
    {Reason::no_common_suite, 17, "no_common_suite"},
    {Reason::no_common_version, 18, "no_common_version"},
    {Reason::not_permitted, 19, "not_permitted"},
    {Reason::engine_draining, 20, "engine_draining"},
    {Reason::certificate_pin_mismatch, 21, "certificate_pin_mismatch"},
    {Reason::sign_on_refused, 22, "sign_on_refused"},
    {Reason::sign_on_timeout, 23, "sign_on_timeout"},
    {Reason::upstream_draining, 24, "upstream_draining"},
    {Reason::upstream_removed, 25, "upstream_removed"},
    {Reason::host_closed, 32, "host_closed"},
    {Reason::connection_lost, 33, "connection_lost"},
    {Reason::write_stalled, 34, "write_stalled"},
    {Reason::stream_corrupt, 35, "stream_corrupt"},
    {Reason::record_corrupt, 36, "record_corrupt"},
    {Reason::reply_sent, 37, "reply_sent"},
    {Reason::heartbeat_missed, 38, "heartbeat_missed"},
    {Reason::host_silent, 39, "host_silent"},
    {Reason::deadline, 48, "deadline"},
    {Reason::cancelled, 49, "cancelled"},
    {Reason::engine_died, 50, "engine_died"},
    {Reason::client_died, 51, "client_died"},
    {Reason::detached, 52, "detached"},
};

const Numbered* published(std::size_t number) {
  const auto* found = std::ranges::find(kReasons, static_cast<int>(number), &Numbered::number);
  return found == std::end(kReasons) ? nullptr : found;
}

}  // namespace

TEST_CASE("outcome.words of every reason are there under its published number") {
  for (const auto& [reason, number, name] : kReasons) {
    CAPTURE(name);
    CHECK(static_cast<int>(reason) == number);
    CHECK(reason_name(reason) == name);
    CHECK(!reason_text(reason).empty());
  }
}

TEST_CASE("outcome.words exist for no other number") {
  for (std::size_t number = 0; number < kReasonCount; ++number) {
    CAPTURE(number);
    const auto reason = static_cast<Reason>(number);
    CHECK((reason_name(reason) == "unknown") == (published(number) == nullptr));
    CHECK((reason_text(reason) == "a reason this version does not know") == (published(number) == nullptr));
  }
  CHECK(reason_name(static_cast<Reason>(0xffff)) == "unknown");
}

TEST_CASE("outcome.words tell any two reasons apart") {
  std::set<std::string_view> names;
  std::set<std::string_view> texts;
  for (const auto& entry : kReasons) {
    names.insert(reason_name(entry.reason));
    texts.insert(reason_text(entry.reason));
  }
  CHECK(names.size() == std::size(kReasons));
  CHECK(texts.size() == std::size(kReasons));
}

TEST_CASE("outcome.words of names are fit for scripts and of texts for people") {
  for (const auto& entry : kReasons) {
    const auto name = reason_name(entry.reason);
    CAPTURE(name);
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
    const auto text = reason_text(entry.reason);
    CHECK(text.find(' ') != std::string_view::npos);
    CHECK(text.back() != '.');
    CHECK(text.find('\n') == std::string_view::npos);
  }
}

TEST_CASE("outcome.words of the outcomes are the published ones") {
  CHECK(static_cast<int>(Outcome::none) == 0);
  CHECK(static_cast<int>(Outcome::answered) == 1);
  CHECK(static_cast<int>(Outcome::not_sent) == 2);
  CHECK(static_cast<int>(Outcome::maybe_sent) == 3);
  CHECK(outcome_name(Outcome::answered) == "ANSWERED");
  CHECK(outcome_name(Outcome::not_sent) == "NOT_SENT");
  CHECK(outcome_name(Outcome::maybe_sent) == "MAYBE_SENT");
  CHECK(outcome_name(Outcome::none) == "NONE");
  CHECK(outcome_name(static_cast<Outcome>(9)) == "UNKNOWN");
}
