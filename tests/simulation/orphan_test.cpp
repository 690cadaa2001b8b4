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
  SUBCASE("ended by itself: nobody else hears of it") {
    rig.ask_in_vain(*asker, 100'000);
    client::OutcomeQueue outcomes;
    outcomes.set_capacity(8);
    asker->channels[0]->settle(shm::Reason::cancelled, outcomes);
    CHECK(outcomes.size() == 1);
    rig.kill(asker);
    CHECK(subscriber->collect(0).empty());
  }
  CHECK(foreign->collect(0).empty());
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

TEST_CASE("hostile.a dead client's impossible position in its completion ring makes no orphans") {
  Rig rig;
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeOrphans);
  auto asker = rig.attach_with_channel();
  static_cast<void>(asker->push(0, 20));
  asker->publish(0);
  rig.settle();
  asker->header(0).completions.head.store(1'000'000);
  rig.kill(asker);
  CHECK(subscriber->collect(0).empty());
}
