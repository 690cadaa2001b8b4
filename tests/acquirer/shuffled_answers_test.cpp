// Ten thousand requests of 16 processes in two groups over four sessions to one host, which answers in another order,
// some late, some twice, and asks by itself; two processes die with requests open. Everything comes to whom it belongs.

#include <array>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/authorizer.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/subscriber.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kGroups = 2;
constexpr std::uint32_t kProcesses = 16;
constexpr std::uint32_t kRequests = 10'000 / kProcesses;  // of each
constexpr std::uint32_t kRequestsOfDead = 10;
constexpr std::uint32_t kTimeoutMs = 500;
constexpr std::uint64_t kReplyEvery = 2;

config::Config two_groups(const TemporaryFolder& folder, std::uint16_t port) {
  auto config = acquirer_config(folder, {port});
  config.groups.push_back(config.groups[0]);
  config.groups[1].name = unique_group();
  auto& upstream = config.upstreams[0];
  upstream.groups.push_back(config.groups[1].name);
  upstream.subscriber_group = config.groups[0].name;
  upstream.sessions = upstream.handshakes_max = 4;
  return config;
}

// Of requests that the engine had not sent when their process died.
const std::string kNeverTaken = "NOT_SENT client_died";

// What the processes of one group say.
struct GroupSum {
  AuthorizerReport of_living;
  std::uint64_t submitted_by_dead = 0;
};

void add(AuthorizerReport& sum, const AuthorizerReport& report) {
  sum.submitted += report.submitted;
  sum.answered += report.answered;
  sum.not_sent += report.not_sent;
  sum.maybe_sent += report.maybe_sent;
  sum.overdue += report.overdue;
  sum.late += report.late;
}

std::vector<std::unique_ptr<Authorizer>> start_processes(const config::Config& config) {
  std::vector<std::unique_ptr<Authorizer>> processes;
  for (std::uint32_t i = 0; i < kProcesses; ++i) {
    auto order = authorizer_order(config, i % kGroups);
    order.requests = kRequests;
    order.in_flight_max = 12;
    order.timeout_ms = kTimeoutMs;
    order.asks_for_late_answers = i % 4 < 2;
    processes.push_back(std::make_unique<Authorizer>(order));
  }
  return processes;
}

// Of a group with one subscriber for late answers and another for orphans with theirs, or one for both.
TakenNotices notices_of(const Subscriber& late, const Subscriber& orphans) {
  auto all = late.taken();
  if (&late == &orphans) return all;
  const auto others = orphans.taken();
  all.orphans = others.orphans;
  all.orphan_outcomes = others.orphan_outcomes;
  for (const auto& [trace, times] : others.late) all.late[trace] += times;
  all.late_of_dead += others.late_of_dead;
  all.trouble += others.trouble;
  return all;
}

// Everything of one group adds up, once all has come.
void check_group(const config::Config& config, std::size_t group, const GroupSum& sum, const Subscriber& of_late,
                 const Subscriber& of_orphans) {
  CAPTURE(group);
  TakenNotices taken;
  const auto overdue = [&] { return sum.of_living.overdue + taken.orphans_with(kOverdue); };
  const auto late = [&] { return sum.of_living.late + taken.late_in_all(); };
  const bool complete = eventually([&] {
    taken = notices_of(of_late, of_orphans);
    return !taken.trouble.empty() || (taken.orphans.size() == sum.submitted_by_dead && late() == overdue());
  });
  INFO("orphans ", taken.orphans.size(), " of ", sum.submitted_by_dead, ", late ", late(), " of ", overdue());
  CHECK(complete);
  CHECK(taken.trouble == "");
  CHECK(sum.submitted_by_dead == kRequestsOfDead);
  CHECK(taken.orphans_with(kAnswered) + taken.orphans_with(kOverdue) + taken.orphans_with(kNeverTaken) ==
        taken.orphans.size());
  CHECK(sum.of_living.submitted == kRequests * kProcesses / kGroups);
  CHECK(sum.of_living.maybe_sent == sum.of_living.overdue);  // for no other reason
  for (const auto& [trace, times] : taken.late) CHECK(times == 1);
  CHECK(taken.late_of_dead <= taken.orphans_with(kOverdue));
  const auto answered = sum.of_living.answered + taken.orphans_with(kAnswered);
  UpstreamStatus status;
  const bool agrees = eventually([&] {
    status = acquirer_status(config, group);
    return status.answered == answered && status.late == late() && status.maybe_sent_in_all() == overdue();
  });
  CHECK_MESSAGE(agrees, "status: answered ", status.answered, " of ", answered, ", late ", status.late, " of ", late(),
                ", MAYBE_SENT ", status.maybe_sent_in_all(), " of ", overdue());
  CHECK(status.not_sent_in_all() == sum.of_living.not_sent + taken.orphans_with(kNeverTaken));
  CHECK(status.late_dropped == 0);
  MESSAGE("group ", group, ": ", answered, " answered, ", sum.of_living.not_sent, " NOT_SENT, ", overdue(),
          " overdue, of whose answers ", sum.of_living.late, " came to their channels and ", taken.late_in_all(),
          " to the subscriber; orphans: ", taken.orphans_with(kAnswered), " answered, ", taken.orphans_with(kOverdue),
          " overdue");
}

}  // namespace

TEST_CASE(
    "correlation.10000 shuffled answers over 4 sessions, 16 processes and 2 groups each come to their own request") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--shuffle", "64", "--shuffle-wait-ms", "20", "--late-percent", "2", "--late-ms", "1000",
                          "--duplicate-percent", "3", "--own-message", "key_exchange", "--unsolicited-every", "100"});
  const auto config = two_groups(folder, host.port());
  EngineProcess engine(folder, config);
  engine.await_sessions(4);
  constexpr std::uint32_t kAll = TMX_SUBSCRIBE_LATE | TMX_SUBSCRIBE_ORPHANS | TMX_SUBSCRIBE_UNSOLICITED;
  auto first = std::make_unique<Subscriber>(config, 0, kAll, kReplyEvery);
  auto late_of_second = std::make_unique<Subscriber>(config, 1, TMX_SUBSCRIBE_LATE);
  auto processes = start_processes(config);
  std::array<GroupSum, kGroups> sums;
  for (std::size_t group = 0; group < kGroups; ++group) {
    sums[group].submitted_by_dead = die_with_open_requests(config, group, kRequestsOfDead, kTimeoutMs);
  }
  // The second group's have waited for it.
  auto orphans_of_second = std::make_unique<Subscriber>(config, 1, TMX_SUBSCRIBE_ORPHANS);
  for (std::uint32_t i = 0; i < kProcesses; ++i) add(sums[i % kGroups].of_living, processes[i]->report());
  check_group(config, 0, sums[0], *first, *first);
  check_group(config, 1, sums[1], *late_of_second, *orphans_of_second);

  // What the host sent unasked has all come to the one group that is to have it, and its answers to the host.
  TakenNotices taken;
  const auto report =
      host.await_report("all its requests and second answers have come, the replies are there", [&](const auto& now) {
        taken = first->taken();
        return taken.host_requests == now.count("unsolicited") && taken.stray_answers == now.count("duplicated") &&
               taken.replies == now.count("unsolicited_answered") && taken.replies_sent == taken.replies;
      });
  await_status(config, [&](const auto& now) {
    return now.replies_sent == taken.replies && now.unsolicited == taken.host_requests + taken.stray_answers;
  });
  CHECK(taken.host_requests >= 50);
  CHECK(taken.replies == taken.host_requests / kReplyEvery);
  CHECK(taken.stray_answers >= 50);
  CHECK(report.count("unsolicited_refused") == 0);
  CHECK(report.count("responses_unmatched") == 0);
  CHECK(late_of_second->taken().host_requests + orphans_of_second->taken().host_requests == 0);
  std::uint64_t sent = 0;
  for (const auto& sum : sums) sent += sum.of_living.submitted - sum.of_living.not_sent + sum.submitted_by_dead;
  for (const auto* subscriber : {first.get(), orphans_of_second.get()}) {
    sent -= subscriber->taken().orphans_with(kNeverTaken);
  }
  CHECK(report.count_of("messages_by_type", "0100") == sent);
  CHECK(report.count("connections") == 4);
  CHECK(engine.log().count("event=session_lost") == 0);
  CHECK(engine.log().count("event=orphans_dropped") == 0);
  first.reset();
  late_of_second.reset();
  orphans_of_second.reset();
  CHECK(engine.stop() == 0);
}

TEST_CASE("correlation.a group that is not the subscriber group gets no unsolicited messages") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host;
  const auto config = two_groups(folder, host.port());
  EngineProcess engine(folder, config);
  auto options = attach_options(config);
  options.group = config.groups[1].name.c_str();
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&options, &client) == 0);
  tmx_channel_options wanted{};
  wanted.struct_bytes = sizeof wanted;
  wanted.flags = TMX_SUBSCRIBE_UNSOLICITED;
  tmx_channel* channel = nullptr;
  CHECK(tmx_channel_open_with(client, "acquirer", &wanted, &channel) == -EACCES);
  CHECK(tmx_detach(client) == 0);
  CHECK(engine.stop() == 0);
}

}  // namespace tlsmux::test
