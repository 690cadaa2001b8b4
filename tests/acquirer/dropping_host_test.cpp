// A host that drops every connection after so many messages, again and again.

#include <map>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/terminal.hpp"
#include "tests/host/host_process.hpp"
#include "tests/host/record.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/host_record.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kRequests = 1000;
constexpr std::uint32_t kInFlight = 16;
constexpr std::uint32_t kPatienceMs = 60'000;

// As tlsmux-host records the key of host::request(trace_number).
std::string record_key(std::uint32_t trace_number) {
  const auto request = host::request(trace_number);
  return host::hex(host::field(request, 11)) + host::hex(host::field(request, 41));
}

// Keeps so many in flight until each has ended.
std::map<std::uint32_t, Ended> authorize_all(Requester& requester) {
  std::map<std::uint32_t, Ended> all;
  std::uint32_t submitted = 0;
  while (all.size() < kRequests) {
    while (submitted < kRequests && submitted - all.size() < kInFlight) {
      ++submitted;
      requester.submit_surely(host::request(submitted), submitted, kPatienceMs);
    }
    auto ended = requester.take_one();
    CHECK(all.emplace(static_cast<std::uint32_t>(ended.tag), std::move(ended)).second);
  }
  return all;
}

}  // namespace

TEST_CASE("faults.a host drops every connection after 100 messages: all others are answered, nothing is sent twice") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto record = folder.path() + "/record";
  host::HostProcess host({"--close-after", "100", "--record", record});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].sessions = 2;
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  std::map<std::uint32_t, Ended> all;
  {
    Requester requester(config);
    all = authorize_all(requester);
  }
  std::uint64_t answered = 0;
  std::uint64_t lost = 0;
  const auto receipts = read_host_records({record});
  for (const auto& [trace, ended] : all) {
    CAPTURE(trace);
    const auto receipt = receipts.find(record_key(trace));
    if (receipt != receipts.end()) CHECK(receipt->second.times == 1);
    if (ended.outcome == TMX_ANSWERED) {
      ++answered;
      CHECK(receipt != receipts.end());
      CHECK(is_answer_to(ended.answer, trace));
    } else {
      ++lost;
      CHECK(ended.outcome == TMX_MAYBE_SENT);
      CHECK((ended.reason == TMX_REASON_HOST_CLOSED || ended.reason == TMX_REASON_CONNECTION_LOST));
    }
  }
  const auto status =
      await_status(config, [&](const auto& now) { return now.answered == answered && now.sessions_ready == 2; });
  CHECK(status.maybe_sent_in_all() == lost);
  CHECK(status.not_sent.empty());
  CHECK((status.last_error_reason == "host_closed" || status.last_error_reason == "connection_lost"));
  CHECK(!status.endpoints.at(0).is_out);
  check_status_text(config, {"2/2", "healthy", "maybe_sent: ", "last error ", "(the host closed the "});
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  // Of each connection 99 messages are answered at the most; two are still open.
  CHECK(answered <= 99 * (report.count("closed_by_host") + 2));
  // Every drop cost the request that it came in place of an answer to, at least.
  CHECK(lost >= report.count("closed_by_host"));
  CHECK(report.count("answered") >= answered);
}

}  // namespace tlsmux::test
