// What is kept of requests whose process is dead: until when, how much, and who gets it.
#include "engine/orphan_store.hpp"

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
constexpr Lane kLane{.group = 0, .upstream = 0};
constexpr Lane kOtherUpstream{.group = 0, .upstream = 1};
constexpr Lane kOtherGroup{.group = 1, .upstream = 0};

config::Config config_with(std::uint32_t count_max, std::uint32_t age_max_s = 60) {
  config::Config config;
  config.groups.resize(2);
  for (auto& group : config.groups) group.orphans = {.count_max = count_max, .age_max_s = age_max_s};
  config.upstreams.resize(2);
  return config;
}

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

struct Rig {
  explicit Rig(const config::Config& settings) : config(settings), store(config) { go_to(1); }
  void go_to(std::uint64_t second) {
    store.set_time(second * kSecondNs);
    store.tick();
  }
  engine::OrphanId ended(std::uint64_t tag, Lane lane = kLane) {
    const auto id = store.open(lane, tag, bytes("request"));
    store.lose(id, Reason::client_died);
    return id;
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
};

std::string text(std::span<const std::byte> some) { return {reinterpret_cast<const char*>(some.data()), some.size()}; }

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
  const auto id = rig.ended(5);
  rig.store.late(id, kLane, 5, bytes("late"));
  CHECK(rig.deliver_all() == Tags{5, 5});
  rig.store.release(id);
  rig.store.late(id, kLane, 5, bytes("later"));
  const auto last = rig.store.next(kLane);
  REQUIRE(last != 0);
  CHECK(rig.store.at(last).kind == NoticeKind::late);
  CHECK(rig.store.at(last).request.bytes().empty());
  CHECK(text(rig.store.at(last).answer.bytes()) == "later");
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
