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

}  // namespace

TEST_CASE("stream.who comes while an upstream is about to be leased is refused, and not taken for what it was") {
  open_streams_while_kind_changes(config::StreamKind::messages);
}

TEST_CASE("stream.who comes while an upstream is about to be shared is refused, and not taken for what it was") {
  open_streams_while_kind_changes(config::StreamKind::leased);
}
