// Who waits shares what there is.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

config::Config shared_config() {
  auto config = test::keyed_config();
  config.engine.in_flight_max = 500;
  config.groups.push_back(config.groups[0]);
  config.groups[1].name = "others";
  config.upstreams[0].groups.push_back("others");
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
