// Who waits shares what there is.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

config::Config shared_config() {
  auto config = test::for_two_groups(test::keyed_config());
  config.engine.in_flight_max = 500;
  config.upstreams[0].in_flight_max = 1;
  return config;
}

}  // namespace

TEST_CASE("engine.three clients of two groups that wait have fair turns") {
  MuxRig rig(shared_config());
  rig.bring_up(0);
  // The first has asked for much before the others come. The letter tells the client, in the key.
  for (int i = 0; i < 6; ++i) rig.submit_as(1, 0, "a00" + std::to_string(i));
  for (int i = 0; i < 3; ++i) rig.submit_as(2, 0, "b00" + std::to_string(i));
  for (int i = 0; i < 4; ++i) rig.submit_as(3, 1, "c00" + std::to_string(i));
  std::vector<std::string> order;
  for (int i = 0; i < 13; ++i) {
    rig.mux.flush();
    rig.accept_all(0);
    for (const auto& message : rig.heard(0)) {
      order.push_back(message);
      rig.say(0, message);
    }
  }
  CHECK(order == std::vector<std::string>{"a000", "c000", "b000", "c001", "a001", "c002", "b001", "c003", "a002",
                                          "b002", "a003", "a004", "a005"});
  CHECK(rig.is_clean());
}

TEST_CASE("engine.the queue's limits for a client and for a group refuse with overload") {
  auto config = shared_config();
  config.upstreams[0].queue_max = 8;
  config.upstreams[0].queue_max_of_client = 2;
  config.upstreams[0].queue_max_of_group = 3;
  MuxRig rig(config);
  auto asks = [&, number = 0](std::uint32_t client, std::uint32_t group) mutable {
    return rig.outcome(rig.submit_as(client, group, std::to_string(1000 + ++number)));
  };
  CHECK(asks(1, 0) == "open");
  CHECK(asks(1, 0) == "open");
  CHECK(asks(1, 0) == "not_sent overload");
  CHECK(asks(2, 0) == "open");
  CHECK(asks(2, 0) == "not_sent overload");  // the group's
  CHECK(asks(3, 1) == "open");
  CHECK(asks(3, 1) == "open");
  rig.bring_up(0);  // takes one: in turn, that of the first client
  CHECK(asks(1, 0) == "open");
  CHECK(asks(2, 0) == "not_sent overload");
}

TEST_CASE("engine.a group with much in flight leaves the others their part of the table") {
  auto config = shared_config();
  config.engine.in_flight_max = 16;  // 4 are guaranteed to each
  MuxRig rig(config);
  std::vector<std::uint64_t> tags;
  const auto asks = [&](std::uint32_t group) {
    tags.push_back(rig.submit_as(group, group, std::to_string(1000 + tags.size())));
    return rig.outcome(tags.back());
  };
  for (int i = 0; i < 12; ++i) CHECK(asks(0) == "open");
  CHECK(asks(0) == "not_sent overload");
  CHECK_FALSE(rig.mux.has_room(0, 0, 0));
  CHECK(rig.mux.has_room(0, 1, 1));
  for (int i = 0; i < 4; ++i) CHECK(asks(1) == "open");
  CHECK(asks(1) == "not_sent overload");
  // A place that comes back, however its request ended, is for whoever may have it.
  rig.mux.abandon(rig.index_of(tags[13]));
  CHECK(asks(0) == "not_sent overload");
  CHECK(asks(1) == "open");
  rig.bring_up(0);
  rig.mux.flush();
  rig.accept_all(0);
  rig.say(0, "1000");
  CHECK(rig.outcome(tags[0]) == "answered 1000");
  CHECK(asks(1) == "open");
  CHECK(asks(1) == "not_sent overload");
  CHECK(rig.mux.requests_held() == 16);
}

TEST_CASE("engine.a request that is refused for what it is leaves its place") {
  auto config = shared_config();
  config.engine.in_flight_max = 16;
  MuxRig rig(config);
  for (int i = 0; i < 50; ++i) CHECK(rig.outcome(rig.submit_as(1, 1, "abc")) == "not_sent unparsable");
  for (int i = 0; i < 12; ++i) CHECK(rig.outcome(rig.submit_as(0, 0, std::to_string(1000 + i))) == "open");
  CHECK(rig.outcome(rig.submit_as(0, 0, "2000")) == "not_sent overload");
}

TEST_CASE("engine.a group that a refresh adds gets its part of the table, and one that it removes leaves it") {
  auto config = shared_config();
  config.engine.in_flight_max = 18;
  MuxRig rig(config);
  std::vector<std::uint64_t> tags;
  const auto asks = [&](std::uint32_t group) {
    tags.push_back(rig.submit_as(group, group, std::to_string(1000 + tags.size())));
    return rig.outcome(tags.back());
  };
  for (int i = 0; i < 14; ++i) CHECK(asks(0) == "open");
  CHECK(asks(0) == "not_sent overload");
  rig.mux.set_groups(3);  // 3 are guaranteed to each
  for (int i = 0; i < 3; ++i) CHECK(asks(2) == "open");
  CHECK(asks(2) == "not_sent overload");
  CHECK(asks(1) == "open");
  CHECK(asks(1) == "not_sent overload");  // the first group holds more than there was left to it by now
  rig.mux.abandon(rig.index_of(tags[0]));
  rig.mux.abandon(rig.index_of(tags[1]));
  CHECK(asks(0) == "not_sent overload");
  CHECK(asks(1) == "open");
  rig.mux.remove_group(1);  // 4 are guaranteed to each that is left
  CHECK(asks(0) == "not_sent overload");
  CHECK(asks(2) == "open");
}
