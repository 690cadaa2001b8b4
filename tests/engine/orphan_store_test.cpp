// What is kept of requests whose process is dead: until when, how much, and who gets it.
#include "engine/shard/orphan_store.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace tlsmux;
using engine::Lane;
using engine::OrphanStore;
using shm::NoticeKind;
using shm::Outcome;
using shm::Reason;

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint32_t kLateAnswerS = 20;
constexpr Lane kLane{.group = 0, .upstream = 0};
constexpr Lane kOtherUpstream{.group = 0, .upstream = 1};
constexpr Lane kOtherGroup{.group = 1, .upstream = 0};

config::Config config_with(std::uint32_t count_max, std::uint32_t age_max_s = 60) {
  config::Config config;
  config.groups.resize(2);
  for (auto& group : config.groups) group.orphans = {.count_max = count_max, .age_max_s = age_max_s};
  config.upstreams.resize(2);
  for (auto& upstream : config.upstreams) upstream.timeouts.late_answer_ms = kLateAnswerS * 1000;
  return config;
}

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text(std::span<const std::byte> some) { return {reinterpret_cast<const char*>(some.data()), some.size()}; }

struct Rig {
  explicit Rig(const config::Config& settings) : config(settings), store(config) { go_to(1); }
  void go_to(std::uint64_t second) {
    now_s = second;
    store.set_time(second * kSecondNs);
    store.tick();
  }
  engine::OrphanId ended(std::uint64_t tag, Lane lane = kLane) {
    const auto id = store.open(lane, tag, bytes("request"));
    store.lose(id, Reason::client_died);
    return id;
  }
  engine::OrphanId given_up(std::uint64_t tag) {
    const auto id = store.open(kLane, tag, bytes("request"));
    store.lose(id, Reason::deadline);
    return id;
  }
  // The subscriber takes all that waits, and releases it.
  void deal_with_all() {
    while (const auto id = store.next(kLane)) {
      store.deliver(id);
      store.release(id);
    }
  }
  // The request's bytes in the notice of a late answer to `id`, which is the only one that waits.
  std::string late_request(engine::OrphanId id) {
    store.late(id, kLane, 5, bytes("late"));
    const auto notice = store.next(kLane);
    REQUIRE(notice != 0);
    return text(std::as_const(store).at(notice).request.bytes());
  }
  // The tags that wait, oldest first; all are delivered by that.
  std::vector<std::uint64_t> deliver_all(Lane lane = kLane) {
    std::vector<std::uint64_t> tags;
    while (const auto id = store.next(lane)) {
      tags.push_back(store.at(id).tag);
      store.deliver(id);
    }
    return tags;
  }

  config::Config config;
  OrphanStore store;
  std::uint64_t now_s = 0;
};

using Tags = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("engine.orphans: a request waits for a subscriber once it has ended") {
  Rig rig(config_with(10));
  const auto id = rig.store.open(kLane, 7, bytes("request"));
  CHECK(rig.store.next(kLane) == 0);
  CHECK(rig.store.counts(kLane).held == 1);
  CHECK(rig.store.counts(kLane).waiting == 0);
  rig.store.answer(id, bytes("answer"));
  REQUIRE(rig.store.next(kLane) == id);
  CHECK(rig.store.counts(kLane).waiting == 1);
  const auto& orphan = rig.store.at(id);
  CHECK(orphan.tag == 7);
  CHECK(orphan.kind == NoticeKind::orphan);
  CHECK(orphan.outcome == Outcome::answered);
  CHECK(text(orphan.request.bytes()) == "request");
  CHECK(text(orphan.answer.bytes()) == "answer");
  CHECK(rig.store.take_fresh() == std::set<Lane>{kLane});
  CHECK(rig.store.take_fresh().empty());
}

TEST_CASE("engine.orphans: each outcome is kept with its reason, and only the first") {
  Rig rig(config_with(10));
  const auto refused = rig.store.open(kLane, 1, bytes("a"));
  rig.store.refuse(refused, {.reason = Reason::unparsable, .error_field = 41, .error_offset = 12});
  const auto lost = rig.store.open(kLane, 2, bytes("b"));
  rig.store.lose(lost, Reason::deadline);
  rig.store.answer(lost, bytes("too late"));
  CHECK(rig.store.at(refused).outcome == Outcome::not_sent);
  CHECK(rig.store.at(refused).error_field == 41);
  CHECK(rig.store.at(refused).error_offset == 12);
  CHECK(rig.store.at(lost).outcome == Outcome::maybe_sent);
  CHECK(rig.store.at(lost).reason == Reason::deadline);
  CHECK(rig.deliver_all() == Tags{1, 2});
}

TEST_CASE("engine.orphans: delivered ones stay until they are released, and go back when their subscriber is gone") {
  Rig rig(config_with(10));
  const auto first = rig.ended(1);
  const auto second = rig.ended(2);
  CHECK(rig.deliver_all() == Tags{1, 2});
  CHECK(rig.store.counts(kLane).held == 2);
  rig.store.release(first);
  rig.store.take_back(first);  // released: nothing goes back
  rig.store.take_back(second);
  CHECK(rig.deliver_all() == Tags{2});
  rig.store.release(second);
  CHECK(rig.store.counts(kLane).held == 0);
  CHECK(rig.store.counts(kLane).dropped == 0);
}

TEST_CASE("engine.orphans: groups and upstreams are kept apart") {
  Rig rig(config_with(10));
  rig.ended(1);
  rig.ended(2, kOtherUpstream);
  rig.ended(3, kOtherGroup);
  CHECK(rig.deliver_all(kOtherGroup) == Tags{3});
  CHECK(rig.deliver_all(kOtherUpstream) == Tags{2});
  CHECK(rig.deliver_all(kLane) == Tags{1});
}

TEST_CASE("engine.orphans: of too many the oldest that waits is dropped, over all upstreams of the group") {
  Rig rig(config_with(2));
  rig.ended(1, kOtherUpstream);
  rig.go_to(2);
  rig.ended(2);
  rig.ended(9, kOtherGroup);
  rig.go_to(3);
  rig.ended(3);
  CHECK(rig.deliver_all(kOtherUpstream).empty());
  CHECK(rig.store.counts(kOtherUpstream).dropped == 1);
  CHECK(rig.deliver_all() == Tags{2, 3});
  CHECK(rig.deliver_all(kOtherGroup) == Tags{9});
  const auto drops = rig.store.take_drops();
  REQUIRE(drops.size() == 1);
  CHECK(drops.begin()->first.lane == kOtherUpstream);
  CHECK_FALSE(drops.begin()->first.too_old);
  CHECK(drops.begin()->second == 1);
}

TEST_CASE("engine.orphans: what is in flight or in a subscriber's hands makes no room") {
  Rig rig(config_with(2));
  const auto open = rig.store.open(kLane, 1, bytes("a"));
  rig.ended(2);
  CHECK(rig.deliver_all() == Tags{2});
  CHECK(rig.store.open(kLane, 3, bytes("c")) == 0);
  CHECK(rig.store.counts(kLane).dropped == 1);
  rig.store.lose(0, Reason::deadline);  // what has no place ends without a trace
  CHECK(rig.store.next(kLane) == 0);
  rig.store.lose(open, Reason::deadline);
  CHECK(rig.deliver_all() == Tags{1});
}

TEST_CASE("engine.orphans: without any room everything is dropped and counted") {
  Rig rig(config_with(0));
  CHECK(rig.ended(1) == 0);
  CHECK(rig.store.counts(kLane).dropped == 1);
  CHECK(rig.store.counts(kLane).held == 0);
}

TEST_CASE("engine.orphans: those that nobody takes are dropped at their age, counted from their end") {
  Rig rig(config_with(10, 60));
  const auto open = rig.store.open(kLane, 1, bytes("a"));
  rig.ended(2);  // in second 1
  CHECK(rig.store.next_due_ns() == 61 * kSecondNs);
  rig.go_to(30);
  rig.ended(3);
  rig.go_to(60);
  CHECK(rig.store.counts(kLane).dropped == 0);
  rig.go_to(61);
  CHECK(rig.store.counts(kLane).dropped == 1);
  CHECK(rig.store.take_drops().begin()->first.too_old);
  CHECK(rig.store.next_due_ns() == 90 * kSecondNs);
  rig.go_to(1000);
  CHECK(rig.store.counts(kLane).dropped == 2);
  CHECK(rig.store.next_due_ns() == 0);
  CHECK(rig.store.counts(kLane).held == 1);  // the open one has not ended yet
  rig.store.lose(open, Reason::deadline);
  CHECK(rig.store.next_due_ns() == 1060 * kSecondNs);
}

TEST_CASE("engine.orphans: with a subscriber they do not age, handed back they do") {
  Rig rig(config_with(10, 60));
  const auto id = rig.ended(1);
  CHECK(rig.deliver_all() == Tags{1});
  rig.go_to(100);
  CHECK(rig.store.counts(kLane).held == 1);
  rig.store.take_back(id);
  rig.go_to(101);
  CHECK(rig.store.counts(kLane).dropped == 1);
  CHECK(rig.store.next(kLane) == 0);
}

TEST_CASE("engine.orphans: a late answer is kept with the request's bytes, as long as they are there") {
  Rig rig(config_with(10));
  const auto id = rig.given_up(5);
  SUBCASE("while it waits") {
    rig.store.late(id, kLane, 5, bytes("late"));
    CHECK(rig.deliver_all() == Tags{5, 5});
  }
  SUBCASE("while a subscriber has it") {
    CHECK(rig.deliver_all() == Tags{5});
    CHECK(rig.late_request(id) == "request");
  }
  SUBCASE("after its release") {
    rig.deal_with_all();
    CHECK(rig.store.counts(kLane).held == 0);
    CHECK(rig.late_request(id) == "request");
    CHECK(text(rig.store.at(rig.store.next(kLane)).answer.bytes()) == "late");
    CHECK(rig.store.at(rig.store.next(kLane)).kind == NoticeKind::late);
  }
  SUBCASE("not when it was dropped") {
    rig.go_to(100);
    CHECK(rig.late_request(id) == "");
  }
  CHECK(rig.store.counts(kLane).dropped == (rig.now_s == 100 ? 1 : 0));
}

TEST_CASE("engine.orphans: a released one is remembered only as long as it may be answered late") {
  Rig rig(config_with(10));
  const auto id = rig.given_up(5);  // in second 1
  rig.go_to(10);
  rig.deal_with_all();
  CHECK(rig.store.next_due_ns() == (1 + kLateAnswerS) * kSecondNs);
  SUBCASE("not over yet") {
    rig.go_to(kLateAnswerS);
    CHECK(rig.late_request(id) == "request");
  }
  SUBCASE("over") {
    rig.go_to(1 + kLateAnswerS);
    CHECK(rig.late_request(id) == "");
  }
  SUBCASE("the group was removed") {
    CHECK(rig.store.remove_group(kLane.group).empty());
    CHECK(rig.late_request(id) == "");
  }
  CHECK(rig.store.counts(kLane).dropped == 0);
}

TEST_CASE("engine.orphans: nothing is remembered of one that cannot be answered late any more") {
  Rig rig(config_with(10));
  const auto lost = rig.store.open(kLane, 1, bytes("request"));
  rig.store.lose(lost, Reason::host_closed);
  const auto answered = rig.store.open(kLane, 2, bytes("request"));
  rig.store.answer(answered, bytes("answer"));
  const auto refused = rig.store.open(kLane, 3, bytes("request"));
  rig.store.refuse(refused, {.reason = Reason::client_died});
  const auto late = rig.given_up(4);
  rig.store.late(late, kLane, 4, bytes("late"));
  const auto released_late = rig.given_up(5);
  rig.deal_with_all();
  CHECK(rig.late_request(released_late) == "request");
  for (const auto id : {lost, answered, refused, late, released_late}) {
    rig.deal_with_all();
    CHECK(rig.late_request(id) == "");
  }
}

TEST_CASE("engine.orphans: what is only remembered is the first to make room, and is not counted") {
  Rig rig(config_with(2));
  const auto first = rig.given_up(1);
  rig.go_to(2);
  const auto second = rig.given_up(2);
  rig.deal_with_all();
  rig.go_to(3);
  rig.ended(3);
  CHECK(rig.store.counts(kLane).held == 1);
  CHECK(rig.store.counts(kLane).dropped == 0);
  SUBCASE("the one whose time is over first has gone, the other has not") {
    CHECK(rig.late_request(second) == "request");
    CHECK(rig.store.counts(kLane).held == 2);
    CHECK(rig.store.counts(kLane).dropped == 0);
  }
  SUBCASE("the first is gone") {
    rig.deal_with_all();
    CHECK(rig.late_request(first) == "");
  }
  SUBCASE("with less room since a refresh, all are") {
    rig.config.groups[0].orphans.count_max = 1;
    rig.store.apply_settings();
    rig.deal_with_all();
    CHECK(rig.late_request(second) == "");
  }
  CHECK(rig.store.take_drops().empty());
}

TEST_CASE("engine.orphans: a late answer whose request makes room for it keeps the request's bytes") {
  Rig rig(config_with(1));
  const auto id = rig.ended(5);
  rig.store.late(id, kLane, 5, bytes("late"));
  const auto late = rig.store.next(kLane);
  REQUIRE(late != 0);
  CHECK(late != id);
  CHECK(text(rig.store.at(late).request.bytes()) == "request");
  CHECK(rig.store.counts(kLane).dropped == 1);
}

TEST_CASE("engine.orphans: other bounds hold as soon as they are applied") {
  Rig rig(config_with(10, 100));
  for (const auto tag : {1, 2, 3, 4}) {
    rig.go_to(static_cast<std::uint64_t>(tag));
    rig.ended(static_cast<std::uint64_t>(tag));
  }
  rig.config.groups[0].orphans.count_max = 2;
  rig.store.apply_settings();
  CHECK(rig.store.counts(kLane).held == 2);
  CHECK(rig.store.counts(kLane).dropped == 2);
  rig.config.groups[0].orphans.age_max_s = 10;
  rig.store.apply_settings();
  rig.go_to(13);
  CHECK(rig.deliver_all() == Tags{4});
}

TEST_CASE("engine.orphans: groups come and go") {
  Rig rig(config_with(10));
  const auto open = rig.store.open(kLane, 1, bytes("request"));
  const auto delivered = rig.ended(2);
  rig.store.deliver(delivered);
  rig.ended(3, kOtherUpstream);
  rig.ended(4, kOtherGroup);
  using Dropped = std::map<std::uint32_t, std::uint32_t>;
  CHECK(rig.store.remove_group(0) == Dropped{{0, 2}, {1, 1}});
  rig.config.groups[0].orphans.count_max = 0;
  rig.config.groups.push_back(rig.config.groups[1]);
  rig.store.apply_settings();
  // What still happens to them means nothing any more.
  rig.store.answer(open, bytes("answer"));
  rig.store.take_back(delivered);
  rig.store.release(delivered);
  CHECK(rig.store.open(kLane, 5, bytes("request")) == 0);
  CHECK(rig.store.counts(kLane).held == 0);
  CHECK(rig.store.remove_group(0).empty());
  CHECK(rig.deliver_all(kOtherGroup) == Tags{4});
  rig.ended(6, {.group = 2, .upstream = 0});
  CHECK(rig.deliver_all({.group = 2, .upstream = 0}) == Tags{6});
}
