// Connections from the ports of a group.
#include "engine/mux/source_ports.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/mux/mux_rig.hpp"
#include "tests/support/seed.hpp"

namespace tlsmux::test {
namespace {

using engine::mux::SourcePorts;
using shm::Reason;
using shm::SessionState;

TEST_CASE("engine.source ports are taken in turn, the one given back last comes last") {
  SourcePorts ports;
  CHECK(!ports.take());
  ports.set({1000, 1001, 1002});
  CHECK(ports.take() == 1000);
  CHECK(ports.take() == 1001);
  ports.give_back(1001);
  ports.give_back(1000);
  CHECK(ports.take() == 1002);
  CHECK(ports.take() == 1001);
  CHECK(ports.take() == 1000);
  CHECK(!ports.take());
}

TEST_CASE("engine.other source ports leave taken ones with their connections") {
  SourcePorts ports;
  ports.set({1000, 1001});
  CHECK(ports.take() == 1000);
  ports.set({1001, 2000});
  CHECK(ports.count() == 2);
  ports.give_back(1000);  // none of ours any more
  CHECK(ports.take() == 1001);
  ports.set({1000, 1001});
  CHECK(ports.take() == 1000);
  CHECK(!ports.take());  // 1001 is taken still
  ports.give_back(1001);
  CHECK(ports.take() == 1001);
}

TEST_CASE("engine.no source port is taken twice, whatever is taken away and added") {
  std::mt19937_64 random(seed());
  const auto below = [&](std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
  };
  SourcePorts ports;
  std::vector<std::uint16_t> taken;
  std::vector<std::uint16_t> all;
  for (int step = 0; step < 20'000; ++step) {
    if (below(50) == 0) {
      all.clear();
      for (std::uint16_t port = 1; port <= 12; ++port) {
        if (below(2) == 0) all.push_back(port);
      }
      ports.set(all);
    } else if (below(2) == 0 && !taken.empty()) {
      const auto at = taken.begin() + static_cast<std::ptrdiff_t>(below(taken.size()));
      ports.give_back(*at);
      taken.erase(at);
    } else if (const auto port = ports.take()) {
      CHECK(std::ranges::find(all, *port) != all.end());
      REQUIRE(std::ranges::find(taken, *port) == taken.end());
      taken.push_back(*port);
    } else {
      CHECK(std::ranges::all_of(all, [&](auto number) { return std::ranges::find(taken, number) != taken.end(); }));
    }
  }
}

config::Config config_with_source_ports() {
  auto config = keyed_config();
  config.upstreams[0].tcp.source_ports = "group";
  config.upstreams[0].sessions = 2;
  config.upstreams[0].backoff = {.initial_ms = 100, .max_ms = 100, .jitter_percent = 0};
  return config;
}

class SourceRig : public MuxRig {
 public:
  SourceRig(config::Config settings, const std::vector<std::uint16_t>& source_ports)
      : MuxRig(std::move(settings), 64 * 1024, source_ports) {}

  // The source of a session's last connection.
  std::string source(std::size_t index) {
    const auto& options = network[index].options;
    return options.source ? options.source->text() : "";
  }
  void wait_out_backoff() { advance_ms(100); }
  void fail_connect(std::size_t index, int error) {
    connect(index, error);
    finish_close(index);
  }
};

TEST_CASE("engine.a connection is made from a source port and gives it back when it is closed") {
  SourceRig rig(config_with_source_ports(), {1000, 1001, 1002});
  CHECK(rig.source(0) == "0.0.0.0:1000");
  CHECK(rig.source(1) == "0.0.0.0:1001");
  rig.bring_up_all();

  rig.lose(0);
  rig.wait_out_backoff();
  CHECK(rig.source(0) == "0.0.0.0:1002");
  rig.bring_up(0);
  rig.lose(0);
  rig.wait_out_backoff();
  CHECK(rig.source(0) == "0.0.0.0:1000");
}

TEST_CASE("engine.a source port stands beside the source address") {
  auto config = config_with_source_ports();
  config.upstreams[0].tcp.source_address = "::9";
  config.upstreams[0].endpoints = {{.host = "::1", .port = 1}};
  CHECK(SourceRig(config, {1000, 1001}).source(0) == "[::9]:1000");
  config.upstreams[0].tcp.source_address.clear();
  CHECK(SourceRig(config, {1000, 1001}).source(0) == "[::]:1000");
  config.upstreams[0].tcp.source_ports.clear();
  CHECK(SourceRig(config, {1000, 1001}).source(0) == "");
}

TEST_CASE("engine.a source port that the kernel refuses is passed over, each once") {
  auto config = config_with_source_ports();
  config.upstreams[0].sessions = 1;
  SourceRig rig(config, {1000, 1001, 1002});
  SUBCASE("until one can be had") {
    rig.fail_connect(0, EADDRINUSE);
    CHECK(rig.events.last().words == "connect from source port 1000: Address already in use");
    CHECK(rig.source(0) == "0.0.0.0:1001");
    CHECK(rig.session(0).state == SessionState::connecting);
    rig.fail_connect(0, EADDRNOTAVAIL);
    CHECK(rig.source(0) == "0.0.0.0:1002");
    rig.bring_up(0);
    CHECK(rig.session(0).state == SessionState::ready);
  }
  SUBCASE("until all have been tried") {
    for (int i = 0; i < 3; ++i) rig.fail_connect(0, EADDRINUSE);
    CHECK(rig.session(0).state == SessionState::backing_off);
    CHECK(rig.network.dialled().size() == 3);
    rig.wait_out_backoff();
    CHECK(rig.source(0) == "0.0.0.0:1000");
    for (int i = 0; i < 3; ++i) rig.fail_connect(0, EADDRINUSE);
    CHECK(rig.network.dialled().size() == 6);
  }
  SUBCASE("but not when the host refuses") {
    rig.fail_connect(0, ECONNREFUSED);
    CHECK(rig.session(0).state == SessionState::backing_off);
    CHECK(rig.network.dialled().size() == 1);
  }
}

TEST_CASE("engine.without a source port a connection fails") {
  SUBCASE("when all are in use") {
    SourceRig rig(config_with_source_ports(), {1000});
    CHECK(rig.network.dialled().size() == 1);
    CHECK(rig.events.last().words == "all 1 source ports of group group are in use");
    CHECK(rig.events.last().reason == Reason::connect_failed);
    CHECK(rig.count(SessionState::connecting) == 1);
  }
  SUBCASE("when there is none, until there is") {
    SourceRig rig(config_with_source_ports(), {});
    CHECK(rig.network.dialled().empty());
    CHECK(rig.events.last().words ==
          "no source port of group group could be had; tlsmux ports group shows who has them");
    rig.mux.set_source_ports(0, {1000});
    rig.wait_out_backoff();
    CHECK(rig.network.dialled().size() == 1);
  }
}

TEST_CASE("engine.an upstream that is added has its source ports from the first connection on") {
  SourceRig rig(config_with_source_ports(), {1000, 1001});
  auto settings = rig.config.upstreams[0];
  settings.name = "other";
  settings.sessions = 1;
  rig.mux.add_upstream(std::make_shared<const config::UpstreamSettings>(settings), std::make_unique<PlainTlsClient>(),
                       {7000, 7001});
  rig.advance_ms(1);
  CHECK(rig.network.dialled().size() == 3);
  CHECK(rig.source(3) == "0.0.0.0:7000");  // behind the places of the first upstream
}

}  // namespace
}  // namespace tlsmux::test
