// Requests whose process is dead: whom their outcomes go to, and what is kept until then.
#include <doctest/doctest.h>

#include "tests/simulation/notice_rig.hpp"

using namespace tlsmux;
using simulation::kLane;
using simulation::kOthers;
using simulation::kTimeoutMs;
using simulation::notice_config;
using simulation::Words;
using Rig = simulation::NoticeRig;

TEST_CASE("engine.a dead client's open requests go to the group's subscriber, with their bytes") {
  Rig rig;
  const auto foreign = rig.attach_with_channel(shm::kSubscribeOrphans, kOthers);
  auto asker = rig.attach_with_channel();
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  SUBCASE("given up") {
    const auto number = rig.ask_in_vain(*asker);
    rig.kill(asker);
    CHECK(subscriber->collect(0).empty());
    CHECK(rig.engine.orphans(kLane).held == 1);
    rig.advance_ms(kTimeoutMs);
    CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT deadline"});
    const auto& notice = subscriber->notices[0];
    CHECK(notice.tag == number);
    REQUIRE(notice.request_length == 20);
    CHECK(simulation::number_in({notice.request_data, notice.request_length}, 0) == number);
    CHECK(rig.row()->orphans_held == 1);
    CHECK(rig.row()->orphans_waiting == 0);
  }
  SUBCASE("answered meanwhile") {
    const auto number = asker->push(0, 20);
    asker->publish(0);
    while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
    rig.kill(asker);
    CHECK(subscriber->collect(0) == Words{"orphan ANSWERED"});
    CHECK(simulation::number_in({subscriber->notices[0].data, subscriber->notices[0].length}, 0) == number);
  }
  SUBCASE("published, and not yet taken by the engine") {
    static_cast<void>(asker->push(0, 20));
    asker->publish(0);
    rig.kill(asker);
    CHECK(subscriber->collect(0) == Words{"orphan NOT_SENT client_died"});
  }
  SUBCASE("ended, but not read") {
    static_cast<void>(asker->push(0, 20));
    asker->publish(0);
    rig.settle();
    rig.kill(asker);
    CHECK(subscriber->collect(0) == Words{"orphan ANSWERED"});
    CHECK(rig.row()->answered == 1);
  }
  SUBCASE("ended and read: nobody else hears of it") {
    static_cast<void>(asker->push(0, 20));
    asker->publish(0);
    rig.settle();
    CHECK(asker->collect(0) == Words{"ANSWERED"});
    rig.kill(asker);
    CHECK(subscriber->collect(0).empty());
  }
  SUBCASE("ended by itself and seen: nobody else hears of it") {
    rig.ask_in_vain(*asker, 100'000);
    client::OutcomeQueue outcomes;
    outcomes.set_capacity(8);
    asker->channels[0]->settle(shm::Reason::cancelled, outcomes);
    REQUIRE(outcomes.size() == 1);
    asker->channels[0]->hand_over(outcomes.pop());
    rig.kill(asker);
    CHECK(subscriber->collect(0).empty());
    CHECK(rig.row()->maybe_sent[static_cast<std::size_t>(shm::Reason::cancelled)] == 1);
  }
  SUBCASE("ended by its library, and the engine does not know: it goes on") {
    rig.ask_in_vain(*asker, kTimeoutMs);
    client::OutcomeQueue outcomes;
    outcomes.set_capacity(8);
    asker->channels[0]->settle(shm::Reason::cancelled, outcomes);
    rig.kill(asker);
    rig.advance_ms(kTimeoutMs);
    CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT deadline"});
  }
  SUBCASE("ended by its library, as the engine has found out") {
    rig.ask_in_vain(*asker, kTimeoutMs);
    client::OutcomeQueue outcomes;
    outcomes.set_capacity(8);
    asker->channels[0]->settle(shm::Reason::cancelled, outcomes);
    rig.advance_ms(kTimeoutMs);
    SUBCASE("before the library has") {}
    SUBCASE("and the library, too") { REQUIRE(asker->channels[0]->collect(outcomes)); }
    rig.kill(asker);
    CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT cancelled"});
  }
  CHECK(foreign->collect(0).empty());
}

TEST_CASE("engine.what a dead client's library had collected goes to the subscriber, but for what was polled") {
  Rig rig;
  auto asker = rig.attach_with_channel();
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto& channel = *asker->channels[0];
  constexpr std::size_t kRequests = 4;  // as many as fit
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < kRequests; ++i) numbers.push_back(asker->push(0, 20));
  asker->publish(0);
  rig.settle();
  client::OutcomeQueue outcomes;
  outcomes.set_capacity(kRequests);
  REQUIRE(channel.collect(outcomes));
  REQUIRE(outcomes.size() == kRequests);
  CHECK_FALSE(channel.has_free_slots());
  SUBCASE("none") {}
  SUBCASE("the first") {
    channel.hand_over(outcomes.pop());
    numbers.erase(numbers.begin());
  }
  SUBCASE("one out of turn") {
    const client::SlotHandle third{.epoch = 1, .use = {.slot = 3, .generation = 1}};
    const auto outcome = outcomes.take(third);
    REQUIRE(outcome.has_value());
    CHECK(outcome->told_at == 0);
    channel.hand_over(*outcome);
    std::erase(numbers, outcome->tag);
  }
  SUBCASE("one out of turn, then those before it") {
    const auto outcome = outcomes.take({.epoch = 1, .use = {.slot = 3, .generation = 1}});
    REQUIRE(outcome.has_value());
    channel.hand_over(*outcome);
    channel.hand_over(outcomes.pop());
    std::erase(numbers, outcome->tag);
    numbers.erase(numbers.begin());
  }
  SUBCASE("all") {
    while (!outcomes.empty()) channel.hand_over(outcomes.pop());
    numbers.clear();
  }
  channel.publish_seen();
  rig.kill(asker);
  std::vector<std::uint64_t> tags;
  for (auto words = subscriber->collect(0); !words.empty(); words = subscriber->collect(0)) {
    CHECK(words == Words(words.size(), "orphan ANSWERED"));
    for (const auto& notice : subscriber->notices) {
      tags.push_back(notice.tag);
      CHECK(simulation::number_in({notice.request_data, notice.request_length}, 0) == notice.tag);
      CHECK(simulation::number_in({notice.data, notice.length}, 0) == notice.tag);
    }
    subscriber->release_notices(0);
    rig.settle();
  }
  CHECK(tags == numbers);
}

TEST_CASE("engine.what a dead client had marked as seen on an earlier channel says nothing of a later one") {
  Rig rig;
  auto asker = rig.attach_with_channel();
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  client::OutcomeQueue outcomes;
  outcomes.set_capacity(8);
  static_cast<void>(asker->push(0, 20));
  asker->publish(0);
  rig.settle();
  REQUIRE(asker->channels[0]->collect(outcomes));
  auto outcome = outcomes.pop();
  outcome.told_at = 0;
  asker->channels[0]->hand_over(outcome);
  rig.engine.close_channel(asker->attached.id, asker->channels[0]->number());
  rig.settle();
  REQUIRE(asker->closed == std::vector<int>{0});
  asker->channels.clear();
  rig.open_channel(*asker, "host", 0);
  static_cast<void>(asker->push(0, 20));
  asker->publish(0);
  rig.settle();
  rig.kill(asker);
  CHECK(subscriber->collect(0) == Words{"orphan ANSWERED"});
}

TEST_CASE("engine.a late answer that comes after the orphan was released bears the request's bytes") {
  auto config = notice_config();
  config.upstreams[0].timeouts.late_answer_ms = 10'000;
  Rig rig(config);
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto asker = rig.attach_with_channel();
  std::uint64_t number = 0;
  SUBCASE("given up after its process died") {
    number = asker->push(0, 20, kTimeoutMs);
    asker->publish(0);
    while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
    rig.engine.dismiss(asker->attached.id, true);
    asker.reset();
    rig.engine.turn();
    rig.context.now_ns += 2 * kTimeoutMs * engine::mux::kNanosecondsPerMillisecond;
    rig.engine.turn();
  }
  SUBCASE("given up before its process died, which had not seen that") {
    number = asker->push(0, 20, kTimeoutMs);
    asker->publish(0);
    while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
    rig.context.now_ns += 2 * kTimeoutMs * engine::mux::kNanosecondsPerMillisecond;
    rig.engine.turn();
    rig.engine.dismiss(asker->attached.id, true);
    asker.reset();
    while (rig.engine.wants_turn()) rig.engine.turn();
  }
  CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT deadline"});
  // Its slots are lent again, by which the engine learns that it was dealt with.
  subscriber->release_notices(0);
  subscriber->publish(0);
  while (rig.engine.orphans(kLane).held > 0) rig.engine.turn();
  rig.settle();
  REQUIRE(subscriber->collect(0) == Words{"late"});
  const auto& late = subscriber->notices[0];
  CHECK(late.tag == number);
  REQUIRE(late.request_length == 20);
  CHECK(simulation::number_in({late.request_data, late.request_length}, 0) == number);
}

TEST_CASE("engine.orphans wait for a subscriber, and go to the next when the first is gone before it dealt with them") {
  Rig rig;
  auto asker = rig.attach_with_channel();
  rig.ask_in_vain(*asker);
  rig.kill(asker);
  rig.advance_ms(kTimeoutMs);
  CHECK(rig.engine.orphans(kLane).waiting == 1);
  auto first = rig.attach_with_channel(shm::kSubscribeOrphans);
  rig.settle();
  CHECK(first->collect(0).size() == 1);
  const auto second = rig.attach_with_channel(shm::kSubscribeOrphans);
  CHECK(second->collect(0).empty());
  SUBCASE("dead") { rig.kill(first); }
  SUBCASE("closed") {
    rig.engine.close_channel(first->attached.id, first->channels[0]->number());
    rig.settle();
    CHECK(first->closed == std::vector<int>{0});
  }
  SUBCASE("gone") {
    rig.engine.dismiss(first->attached.id, false);
    rig.settle();
  }
  CHECK(second->collect(0) == Words{"orphan MAYBE_SENT deadline"});
}

TEST_CASE("engine.an orphan that was dealt with is gone") {
  Rig rig;
  auto asker = rig.attach_with_channel();
  rig.ask_in_vain(*asker);
  rig.kill(asker);
  rig.advance_ms(kTimeoutMs);
  auto first = rig.attach_with_channel(shm::kSubscribeOrphans);
  rig.settle();
  REQUIRE(first->collect(0).size() == 1);
  first->release_notices(0);
  // Its slots come round again with the next requests at the latest.
  for (int i = 0; i < 8; ++i) {
    static_cast<void>(first->push(0, 20));
    first->publish(0);
    rig.settle();
    CHECK(first->collect(0) == Words{"ANSWERED"});
  }
  CHECK(rig.engine.orphans(kLane).held == 0);
  const auto second = rig.attach_with_channel(shm::kSubscribeOrphans);
  rig.kill(first);
  CHECK(second->collect(0).empty());
}

TEST_CASE("engine.a late answer to a dead client's request goes to the subscriber for orphans") {
  Rig rig;
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto asker = rig.attach_with_channel();
  const auto number = asker->push(0, 20, kTimeoutMs);
  asker->publish(0);
  while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
  rig.engine.dismiss(asker->attached.id, true);
  asker.reset();
  rig.engine.turn();
  rig.context.now_ns += 2 * kTimeoutMs * engine::mux::kNanosecondsPerMillisecond;
  rig.engine.turn();
  rig.settle();
  CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT deadline", "late"});
  CHECK(subscriber->notices[1].tag == number);
}

TEST_CASE("engine.a client whose socket is closed may be dying: its requests wait for news of that") {
  Rig rig;
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto asker = rig.attach_with_channel();
  rig.ask_in_vain(*asker, 10'000);
  rig.engine.dismiss(asker->attached.id, false);
  rig.settle();
  SUBCASE("dead: they are orphans") {
    rig.engine.dismiss(asker->attached.id, true);
    rig.settle();
    rig.advance_ms(10'000);
    CHECK(subscriber->collect(0) == Words{"orphan MAYBE_SENT deadline"});
  }
  SUBCASE("alive: it ends them by itself") {
    rig.advance_ms(1000);
    rig.advance_ms(100'000);
    CHECK(subscriber->collect(0).empty());
  }
  CHECK(rig.engine.multiplexer().requests_left() == 0);
}

TEST_CASE("engine.what the store drops is counted") {
  auto config = notice_config();
  config.groups[0].orphans = {.count_max = 1, .age_max_s = 5};
  Rig rig(config);
  auto asker = rig.attach_with_channel();
  rig.ask_in_vain(*asker);
  rig.ask_in_vain(*asker);
  rig.kill(asker);
  rig.advance_ms(kTimeoutMs);
  CHECK(rig.row()->orphans_dropped == 1);
  CHECK(rig.row()->orphans_waiting == 1);
  rig.advance_ms(5000);
  CHECK(rig.row()->orphans_dropped == 2);
  CHECK(rig.row()->orphans_held == 0);
}

TEST_CASE("hostile.a dead client's impossible position of what it has seen makes no orphans") {
  Rig rig;
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto asker = rig.attach_with_channel();
  static_cast<void>(asker->push(0, 20));
  asker->publish(0);
  rig.settle();
  asker->header(0).completions.seen.store(1'000'000);
  rig.kill(asker);
  CHECK(subscriber->collect(0).empty());
}
