#pragma once

// A ShardRig for what no request waits for.

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "tests/simulation/message.hpp"
#include "tests/simulation/shard_rig.hpp"

namespace tlsmux::simulation {

using Words = std::vector<std::string>;
inline constexpr std::uint32_t kOthers = 1;  // a group
inline constexpr std::uint32_t kTimeoutMs = 10;
inline constexpr engine::Lane kLane{.group = 0, .upstream = 0};

// Both groups may use "host", whose messages bear keys; "group" is its subscriber_group.
inline config::Config notice_config() {
  auto config = shard_config();
  config.upstreams[0].groups = {"group", "others"};
  config.upstreams[0].correlation = {
      .kind = config::CorrelationKind::bytes, .offset = 0, .length = static_cast<std::uint32_t>(kKeyBytes), .mask = {}};
  return config;
}

struct NoticeRig : ShardRig {
  explicit NoticeRig(config::Config config = notice_config()) : ShardRig(std::move(config)) {}

  // A request whose answer comes after its deadline.
  std::uint64_t ask_late(TestClient& client) {
    const auto number = client.push(0, 20, kTimeoutMs);
    client.publish(0);
    while (engine.multiplexer().requests_held() == 0) engine.turn();
    context.now_ns += 2 * kTimeoutMs * engine::mux::kNanosecondsPerMillisecond;
    engine.turn();
    settle();
    return number;
  }
  // A request that stays open.
  std::uint64_t ask_in_vain(TestClient& client, std::uint32_t timeout_ms = kTimeoutMs) {
    context.faults[Fault::silent] = 1000;
    const auto number = client.push(0, 20, timeout_ms);
    client.publish(0);
    settle();
    context.faults[Fault::silent] = 0;
    return number;
  }
  // The host sends something unasked.
  void host_speaks() {
    const auto before = engine.multiplexer().upstreams()[0]->unsolicited;
    while (engine.multiplexer().upstreams()[0]->unsolicited == before) {
      context.faults[Fault::unsolicited] = 1000;
      network.step();
      context.faults[Fault::unsolicited] = 0;
      settle();
    }
  }
  std::unique_ptr<shm::UpstreamRow> row(std::size_t group = 0) {
    advance_ms(engine::StatusBoard::kIntervalNs / 1'000'000);
    auto row = std::make_unique<shm::UpstreamRow>();
    REQUIRE(shm::read_row(shm::GroupView::open(engine.group_part(group)).value().upstreams()[0], *row));
    return row;
  }
};

}  // namespace tlsmux::simulation
