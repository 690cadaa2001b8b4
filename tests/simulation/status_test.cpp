// What the engine writes into a group's tables.
#include <doctest/doctest.h>

#include <memory>

#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using shm::Reason;
using simulation::shard_config;
using simulation::ShardRig;

namespace {

constexpr std::uint64_t kIntervalMs = engine::StatusBoard::kIntervalNs / 1'000'000;

template <typename Row>
std::unique_ptr<Row> read(const Row& shared) {
  auto row = std::make_unique<Row>();
  REQUIRE(shm::read_row(shared, *row));
  return row;
}

shm::GroupView tables(const ShardRig& rig) { return shm::GroupView::open(rig.engine.group_part(0)).value(); }

}  // namespace

TEST_CASE("engine.status shows an upstream as one group sees it") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  client->push(0, 20);
  client->publish(0);
  rig.settle();
  rig.context.faults[simulation::Fault::silent] = 1000;
  client->push(0, 20, 50);
  client->publish(0);
  rig.settle();
  rig.advance_ms(kIntervalMs);
  const auto view = tables(rig);
  REQUIRE(view.upstreams().size() > 1);
  CHECK(read(view.upstreams()[1])->in_use == 0);  // left for a refresh
  const auto row = read(view.upstreams()[0]);
  CHECK(shm::text_of(row->name) == "host");
  CHECK(row->in_use == 1);
  CHECK(row->sessions_ready == 1);
  CHECK(row->sessions_wanted == 1);
  CHECK(row->handshakes_full == 1);
  CHECK(row->answered == 1);
  CHECK(row->maybe_sent[static_cast<std::size_t>(Reason::deadline)] == 1);
  CHECK(row->in_flight == 1);  // abandoned, and its answer may still come
  std::uint64_t latencies = 0;
  for (const auto count : row->latency) latencies += count;
  CHECK(latencies == 1);
}

TEST_CASE("engine.status shows a request in flight no longer than its late answer may come") {
  auto config = shard_config();
  config.upstreams[0].correlation.kind = config::CorrelationKind::bytes;
  config.upstreams[0].correlation.length = 8;
  ShardRig rig(config);
  const auto client = rig.attach_with_channel();
  rig.context.faults[simulation::Fault::silent] = 1000;
  client->push(0, 20, 50);
  client->publish(0);
  rig.settle();
  rig.advance_ms(kIntervalMs);
  CHECK(read(tables(rig).upstreams()[0])->in_flight == 1);
  rig.advance_ms(config.upstreams[0].timeouts.late_answer_ms);
  rig.advance_ms(kIntervalMs);
  CHECK(read(tables(rig).upstreams()[0])->in_flight == 0);
}

TEST_CASE("engine.status shows requests that only wait") {
  auto config = shard_config();
  config.upstreams[0].in_flight_max = 1;
  ShardRig rig(config);
  const auto client = rig.attach_with_channel();
  rig.advance_ms(kIntervalMs);
  rig.context.faults[simulation::Fault::silent] = 1000;
  for (int i = 0; i < 3; ++i) client->push(0, 20);
  client->publish(0);
  rig.settle();
  rig.advance_ms(kIntervalMs);
  const auto upstream = read(tables(rig).upstreams()[0]);
  CHECK(upstream->in_flight == 1);
  CHECK(upstream->queued == 2);
  const auto row = read(tables(rig).clients()[0]);
  CHECK(row->pid == 1);
  CHECK(row->channels == 1);
  CHECK(row->in_flight == 3);
  CHECK(row->slots_held == 6);
  CHECK(row->requests == 3);
  CHECK(shm::text_of(row->program) == "simulated");
}

TEST_CASE("engine.status shows each session and why the last one ended") {
  auto config = shard_config();
  config.upstreams[0].backoff = {.initial_ms = 1000, .max_ms = 1000, .jitter_percent = 0};
  ShardRig rig(config);
  rig.advance_ms(kIntervalMs);
  const auto up = read(tables(rig).sessions()[0]);
  CHECK(up->state == shm::SessionState::ready);
  CHECK(shm::text_of(up->address) == "127.0.0.1:9000");
  CHECK(shm::text_of(up->tls_version) == "plain");
  CHECK(shm::text_of(up->suite) == "NULL");
  rig.context.faults[simulation::Fault::reset] = 1000;
  for (int i = 0; i < 10; ++i) rig.network.step();
  rig.settle();
  rig.advance_ms(kIntervalMs);
  CHECK(read(tables(rig).sessions()[0])->state == shm::SessionState::backing_off);
  const auto upstream = read(tables(rig).upstreams()[0]);
  CHECK(upstream->sessions_ready == 0);
  CHECK(upstream->last_error_reason == Reason::connection_lost);
  CHECK(shm::text_of(upstream->last_error).starts_with("receive: "));
}

TEST_CASE("engine.status says which endpoint is out, why, and until when") {
  auto config = shard_config();
  auto& upstream = config.upstreams[0];
  upstream.endpoints = {{.host = "127.0.0.1", .port = 9000}, {.host = "127.0.0.2", .port = 9001, .priority = 7}};
  upstream.backoff = {.initial_ms = 60'000, .max_ms = 60'000, .jitter_percent = 0};
  ShardRig rig(config);
  rig.advance_ms(kIntervalMs);
  CHECK(read(tables(rig).endpoints()[0])->sessions == 1);
  rig.context.ports_down = {9000};
  for (int i = 0; i < 10; ++i) rig.network.step();
  rig.settle();
  rig.advance_ms(60'000);
  rig.advance_ms(kIntervalMs);
  const auto out = read(tables(rig).endpoints()[0]);
  CHECK(out->in_use == 1);
  CHECK(out->upstream == 0);
  CHECK(shm::text_of(out->address) == "127.0.0.1:9000");
  CHECK(out->is_out == 1);
  CHECK(out->failures > 0);
  CHECK(out->retry_s > 0);
  CHECK(out->last_error_reason == Reason::connect_refused);
  CHECK(out->sessions == 0);
  const auto healthy = read(tables(rig).endpoints()[1]);
  CHECK(shm::text_of(healthy->address) == "127.0.0.2:9001");
  CHECK(healthy->priority == 7);
  CHECK(healthy->is_out == 0);
  CHECK(healthy->retry_s == 0);
  CHECK(healthy->sessions == 1);
  CHECK(read(tables(rig).endpoints()[2])->in_use == 0);
  std::size_t sessions = 0;
  for (std::uint32_t i = 0; i < tables(rig).sessions().size(); ++i) {
    const auto session = read(tables(rig).sessions()[i]);
    if (session->in_use == 0) continue;
    ++sessions;
    CHECK(session->endpoint == 1);
  }
  CHECK(sessions == 1);
}

TEST_CASE("engine.status forgets a client with the client") {
  ShardRig rig;
  const auto client = rig.attach();
  CHECK(read(tables(rig).clients()[0])->client_id == client->attached.id);
  rig.engine.dismiss(client->attached.id, true);
  rig.settle();
  CHECK(read(tables(rig).clients()[0])->pid == 0);
}

TEST_CASE("engine.status says what the engine is about") {
  ShardRig rig;
  CHECK(tables(rig).header().state.load() == shm::EngineState::running);
  rig.advance_ms(kIntervalMs);
  CHECK(tables(rig).header().heartbeat_ns.load() == rig.context.now_ns);
  rig.engine.drain(100);
  rig.settle();
  CHECK(tables(rig).header().state.load() == shm::EngineState::stopped);
}
