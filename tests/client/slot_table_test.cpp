#include "client/slot_table.hpp"

#include <doctest/doctest.h>

#include "client/outcome_queue.hpp"

using namespace tlsmux::client;

TEST_CASE("client.a slot is free only when nobody holds it") {
  SlotTable slots(2);
  const auto use = slots.take(Holder::application);
  slots.add_holder(use.slot, Holder::engine);
  slots.drop_holder(use.slot, Holder::application);
  CHECK(slots.free_count() == 1);
  CHECK(slots.held(Holder::engine) == 1);
  CHECK(slots.held(Holder::application) == 0);
  slots.drop_holder(use.slot, Holder::engine);
  slots.drop_holder(use.slot, Holder::engine);
  CHECK(slots.free_count() == 2);
  CHECK(slots.held(Holder::engine) == 0);
}

TEST_CASE("client.a slot whose outcome waits for the application is not free") {
  SlotTable slots(2);
  const auto use = slots.take(Holder::engine);
  slots.add_holder(use.slot, Holder::queue);
  slots.drop_holder(use.slot, Holder::engine);
  CHECK(slots.free_count() == 1);
  CHECK(slots.held(Holder::queue) == 1);
  CHECK(slots.held(Holder::application) == 0);
  slots.drop_holder(use.slot, Holder::queue);
  CHECK(slots.free_count() == 2);
  CHECK(slots.held(Holder::queue) == 0);
}

TEST_CASE("client.a name of an earlier use of a slot names nothing") {
  SlotTable slots(2);
  const auto first = slots.take(Holder::application);
  slots.drop_holder(first.slot, Holder::application);
  const auto second = slots.take(Holder::application);
  CHECK(second.slot == first.slot);
  CHECK_FALSE(slots.holds(first, Holder::application));
  CHECK(slots.holds(second, Holder::application));
  CHECK_FALSE(slots.holds(second, Holder::engine));
  CHECK_FALSE(slots.holds({.slot = 2, .generation = 1}, Holder::application));
}

TEST_CASE("client.the queue of outcomes keeps order through growth and removal") {
  OutcomeQueue queue;
  queue.set_capacity(3);
  const auto push = [&](std::uint64_t tag) {
    RequestOutcome outcome;
    outcome.tag = tag;
    outcome.told_at = tag;
    outcome.request = {.epoch = 1, .use = {.slot = static_cast<std::uint32_t>(tag), .generation = 1}};
    queue.push(outcome);
  };
  push(1);
  push(2);
  CHECK(queue.pop().tag == 1);
  push(3);
  push(4);  // wraps around
  queue.set_capacity(5);
  push(5);
  const auto out_of_turn = queue.take({.epoch = 1, .use = {.slot = 4, .generation = 1}});
  CHECK(out_of_turn->tag == 4);
  CHECK(out_of_turn->told_at == 0);
  CHECK_FALSE(queue.take({.epoch = 2, .use = {.slot = 3, .generation = 1}}).has_value());
  const auto in_turn = queue.take({.epoch = 1, .use = {.slot = 2, .generation = 1}});
  CHECK(in_turn->tag == 2);
  CHECK(in_turn->told_at == 2);
  CHECK(queue.pop().tag == 3);
  CHECK(queue.pop().told_at == 5);
  CHECK(queue.empty());
}
