// That the demo's verdict can be trusted: it finds what it claims to look for.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/demo/audit.hpp"
#include "tests/demo/purchase.hpp"
#include "tests/demo/tally.hpp"
#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/record.hpp"
#include "tlsmux/tlsmux.h"

using namespace tlsmux::demo;

namespace {

constexpr std::uint32_t kRequests = 4;

LedgerEntry ended(Fate fate, std::uint16_t reason = 0) {
  return {.submitted_ns = 1, .latency_us = 1'000, .reason = reason, .outcomes = 1, .fate = fate};
}

std::string received(RequestId id) { return "received 1 1 " + record_key(id) + " 160 0123456789abcdef\n"; }

// Authorizer 0 of which each request was answered, and the record that goes with it.
Account all_answered() { return {.requests = std::vector<LedgerEntry>(kRequests, ended(Fate::answered))}; }

std::string record_of_all() {
  std::string lines = "started 4711\n";
  for (std::uint32_t request = 0; request < kRequests; ++request) lines += received({0, request});
  return lines;
}

std::vector<std::string> verdict(const Account& account, const std::string& lines) {
  HostRecords records;
  records.add('A', lines);
  return contradictions({account}, kRequests, records);
}

void check_only(const std::vector<std::string>& found, const std::string& words) {
  REQUIRE(found.size() == 1);
  CHECK_MESSAGE(found[0].find(words) != std::string::npos, found[0]);
}

}  // namespace

TEST_CASE("faults.demo audit agrees when all was answered and received once") {
  CHECK(verdict(all_answered(), record_of_all()).empty());
}

TEST_CASE("faults.demo audit finds an answer to what no host received") {
  auto lines = record_of_all();
  lines.resize(lines.size() - received({0, kRequests - 1}).size());
  check_only(verdict(all_answered(), lines), "request 4 (trace number 4): is ANSWERED, but no host received it");
}

TEST_CASE("faults.demo audit finds what was not sent and yet received") {
  auto account = all_answered();
  account.requests[1] = ended(Fate::not_sent, TMX_REASON_ENGINE_DIED);
  check_only(verdict(account, record_of_all()), "is NOT_SENT (engine_died), but host A received it");
}

TEST_CASE("faults.demo audit leaves it open whether a maybe sent request was received") {
  auto account = all_answered();
  account.requests[3] = ended(Fate::maybe_sent, TMX_REASON_HOST_CLOSED);
  CHECK(verdict(account, record_of_all()).empty());
  auto lines = record_of_all();
  lines.resize(lines.size() - received({0, 3}).size());
  CHECK(verdict(account, lines).empty());
}

TEST_CASE("faults.demo audit finds requests without an outcome and with two") {
  auto account = all_answered();
  account.requests[0].fate = Fate::open;
  account.requests[0].outcomes = 0;
  check_only(verdict(account, record_of_all()), "request 1 (trace number 1): has no outcome");
  account.killed = true;
  CHECK(verdict(account, record_of_all()).empty());
  account.requests[0] = ended(Fate::answered);
  account.requests[0].outcomes = 2;
  check_only(verdict(account, record_of_all()), "has 2 outcomes");
}

TEST_CASE("faults.demo audit finds what was received though never submitted") {
  auto account = all_answered();
  account.killed = true;
  account.requests.pop_back();
  check_only(verdict(account, record_of_all()), "was never submitted, but host A received it");
}

TEST_CASE("faults.demo audit finds a message received twice and one that nobody sent") {
  check_only(verdict(all_answered(), record_of_all() + received({0, 2})), "received it 2 times");
  check_only(verdict(all_answered(), record_of_all() + received({5, 0})), "1 messages that nobody sent");
}

TEST_CASE("faults.demo requests bear what they are matched and recorded by") {
  std::uint32_t echo_tests = 0;
  for (std::uint32_t request = 0; request < 1'000; ++request) {
    const RequestId id{.authorizer = request % kAuthorizers, .request = request};
    const auto message = build_request(id, {});
    const auto parsed = tlsmux::host::parse(message);
    REQUIRE(parsed.has_value());
    CHECK(std::stoul(std::string(parsed->field(11))) == trace_number(id));
    CHECK(parsed->has(41) != is_echo_test(id));
    CHECK((parsed->type == "0800") == is_echo_test(id));
    echo_tests += is_echo_test(id) ? 1 : 0;
    CHECK(record_key(id) == tlsmux::host::hex(std::string(parsed->field(11)) + std::string(parsed->field(41))));
    CHECK(what_is_wrong_with(message, id) == "its type does not answer the request's");
  }
  CHECK(echo_tests > 5);
  CHECK(echo_tests < 50);
}

TEST_CASE("faults.demo tally counts outcomes and takes the nearest rank") {
  Tally tally;
  std::vector<LedgerEntry> entries;
  for (std::uint32_t i = 1; i <= 100; ++i) {
    entries.push_back(ended(Fate::answered));
    entries.back().latency_us = i * 1'000;
  }
  entries.push_back(ended(Fate::not_sent, TMX_REASON_NO_SESSION));
  entries.push_back({.fate = Fate::open});
  entries.push_back({});
  tally.add(entries);
  CHECK(tally.requests == 102);
  CHECK(tally.answered == 100);
  CHECK(tally.not_sent_reasons.at(TMX_REASON_NO_SESSION) == 1);
  CHECK(tally.open == 1);
  CHECK(tally.percentile_ms(0.50) == 50);
  CHECK(tally.percentile_ms(0.99) == 99);
  CHECK(tally.percentile_ms(1) == 100);
}
