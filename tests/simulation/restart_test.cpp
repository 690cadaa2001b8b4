// Upstreams that a refresh starts anew while streams are opened.
#include <doctest/doctest.h>

#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using simulation::shard_config;
using simulation::ShardRig;
using Kind = engine::ApplyConfig::Kind;

namespace {

// Without time going on, one turn.
void turn(ShardRig& rig) {
  if (rig.engine.wants_turn()) rig.engine.turn();
  while (rig.network.step() || rig.engine.step()) {
  }
}

std::shared_ptr<simulation::StreamPipe> open_stream(ShardRig& rig) {
  auto pipe = std::make_shared<simulation::StreamPipe>();
  pipe->room_bytes = 4096;
  pipe->stream = rig.context.streams.open({.upstream = 0, .group = 0, .engine = rig.engine.number()});
  rig.engine.open_stream({.pid = 7, .group = 0, .upstream = 0, .wait_ms = 10'000, .pipe = pipe});
  return pipe;
}

config::UpstreamSettings other_kind(const config::UpstreamSettings& settings) {
  auto other = settings;
  const bool is_leased = settings.streams.kind == config::StreamKind::leased;
  other.streams.kind = is_leased ? config::StreamKind::messages : config::StreamKind::leased;
  return other;
}

// One before each turn, until the upstream is of the other kind.
void open_streams_while_kind_changes(config::StreamKind kind) {
  auto config = shard_config();
  config.upstreams[0].streams.kind = kind;
  ShardRig rig(config);
  const auto settings = other_kind(config.upstreams[0]);
  rig.engine.refresh(0, settings, Kind::restarted, false);
  std::vector<std::shared_ptr<simulation::StreamPipe>> pipes;
  for (int i = 0; i < 100 && rig.context.present(0).streams.kind == kind; ++i) {
    pipes.push_back(open_stream(rig));
    turn(rig);
  }
  REQUIRE(rig.context.present(0).streams.kind == settings.streams.kind);
  REQUIRE(!pipes.empty());
  rig.settle();
  CHECK(rig.context.streams.statistics().refused == pipes.size());
  const auto late = open_stream(rig);
  rig.settle();
  CHECK(rig.context.streams.statistics().opened == 1);
  CHECK_FALSE(rig.context.streams.is_over(late->stream));
}

constexpr std::uint64_t kWaitMs = 100;

// One request waits so long for a session to a host whose name is looked up for ever: nothing but time will end either.
struct WaitingRig : ShardRig {
  WaitingRig() : ShardRig(nameless_config()), client(attach_with_channel()) {
    context.faults[simulation::Fault::lookup_hangs] = 1000;
    context.ports_down.insert(context.config.upstreams[0].endpoints[0].port);
    settle();
    advance_ms(context.config.upstreams[0].backoff.max_ms);
    REQUIRE(session().state == shm::SessionState::resolving);
    client->push(0, 50, kWaitMs);
    client->publish(0);
    settle();
  }

  static config::Config nameless_config() {
    auto config = shard_config();
    config.upstreams[0].endpoints[0].host = "host.example";
    config.upstreams[0].timeouts.connect_ms = 60'000;
    return config;
  }

  const engine::mux::Session& session() { return *engine.multiplexer().upstreams()[0]->sessions[0]; }

  std::unique_ptr<simulation::TestClient> client;
};

}  // namespace

TEST_CASE("engine.the order to drain an upstream is answered in the turn in which its last request runs out of time") {
  WaitingRig rig;
  rig.engine.drain_upstream(0, 10 * kWaitMs);
  rig.settle();
  REQUIRE_FALSE(rig.engine.has_answered_drains());
  rig.advance_ms(kWaitMs);
  CHECK(rig.client->collect(0) == std::vector<std::string>{"NOT_SENT deadline"});
  CHECK(rig.session().state == shm::SessionState::none);
  CHECK(rig.engine.has_answered_drains());
}

// That turn is the end of the drain and the beginning of the upstream's new life.
TEST_CASE("engine.the order to drain an upstream is answered although new settings start it anew at once") {
  WaitingRig rig;
  constexpr std::uint32_t kDrainMs = 10 * kWaitMs;
  rig.engine.drain_upstream(0, kDrainMs);
  rig.engine.refresh(0, rig.context.present(0), Kind::restarted, false);
  rig.settle();
  REQUIRE_FALSE(rig.engine.has_answered_drains());
  rig.context.faults = {};
  rig.context.ports_down.clear();
  rig.advance_ms(kWaitMs);
  CHECK(rig.client->collect(0) == std::vector<std::string>{"NOT_SENT deadline"});
  CHECK(rig.engine.has_answered_drains());
  CHECK(rig.session().is_up());
  const auto generation = rig.session().id.generation;
  rig.advance_ms(kDrainMs);  // which an order that is still there would end
  CHECK(rig.session().is_up());
  CHECK(rig.session().id.generation == generation);
}

TEST_CASE("stream.who comes while an upstream is about to be leased is refused, and not taken for what it was") {
  open_streams_while_kind_changes(config::StreamKind::messages);
}

TEST_CASE("stream.who comes while an upstream is about to be shared is refused, and not taken for what it was") {
  open_streams_while_kind_changes(config::StreamKind::leased);
}
