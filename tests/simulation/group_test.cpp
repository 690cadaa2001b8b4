// Groups that a refresh adds and removes while the data loop works.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "tests/simulation/notice_rig.hpp"

using namespace tlsmux;
using simulation::kOthers;
using simulation::NoticeRig;
using simulation::TestClient;
using simulation::Words;

namespace {

constexpr std::uint32_t kThird = 2;

// What the control thread does about a refresh.
struct Rig : NoticeRig {
  using NoticeRig::NoticeRig;

  [[nodiscard]] engine::ApplyConfig order_of_upstream(engine::ApplyConfig::Kind kind) const {
    engine::ApplyConfig order{
        .config = std::make_shared<const config::Config>(context.config), .upstreams = {}, .groups_added = {}};
    order.upstreams.push_back({.kind = kind, .index = 0, .tls_client = nullptr});
    return order;
  }
  void add_group(const std::string& name) {
    auto group = context.config.groups[0];
    group.name = name;
    context.config.groups.push_back(group);
    context.config.upstreams[0].groups.push_back(name);
    auto order = order_of_upstream(engine::ApplyConfig::Kind::changed);
    order.groups_added.push_back(engine.make_group());
    engine.order(std::move(order));
    settle();
  }
  void remove_group(std::uint32_t group, engine::ApplyConfig::Kind kind = engine::ApplyConfig::Kind::changed) {
    if (kind == engine::ApplyConfig::Kind::removed) {
      context.config.upstreams[0].name.clear();
    } else {
      std::erase(context.config.upstreams[0].groups, context.config.groups[group].name);
    }
    context.config.groups[group].name.clear();
    context.config.groups[group].orphans.count_max = 0;
    auto order = order_of_upstream(kind);
    order.groups_removed = {group};
    engine.order(std::move(order));
    settle();
  }
  void detach(std::unique_ptr<TestClient>& client) {
    engine.dismiss(client->attached.id, false);
    client.reset();
    settle();
  }
  [[nodiscard]] shm::EngineState state_of(std::uint32_t group) const {
    return reinterpret_cast<const shm::GroupHeader*>(engine.group_part(group).data())->state.load();
  }
};

Words ask(Rig& rig, TestClient& client) {
  client.push(0, 20);
  client.publish(0);
  rig.settle();
  return client.collect(0);
}

}  // namespace

TEST_CASE("engine.a group that is added has its tables and its turns at once") {
  Rig rig;
  const auto old_client = rig.attach_with_channel();
  CHECK(ask(rig, *old_client) == Words{"ANSWERED"});
  rig.add_group("third");
  CHECK(rig.state_of(kThird) == shm::EngineState::running);
  const auto client = rig.attach_with_channel(shm::kSubscribeOrphans, kThird);
  CHECK(ask(rig, *client) == Words{"ANSWERED"});
  CHECK(ask(rig, *old_client) == Words{"ANSWERED"});
  CHECK(rig.row(kThird)->answered == 1);
  CHECK(rig.row(kThird)->subscribers == 1);
  CHECK(rig.row()->answered == 2);
  rig.open_channel(*client, "other");
  CHECK(client->refusals == std::vector<int>{EACCES});
}

TEST_CASE("engine.a client with the slots of before gets no channel to an upstream with longer messages") {
  auto config = simulation::shard_config();
  config.groups[kOthers].memory.slot_bytes = 512;
  config.upstreams[1].framing.message_bytes_max = 400;
  Rig rig(config);
  const auto client = rig.attach();
  // A refresh that is good: the group gets larger slots, and the upstream.
  rig.context.config.groups[0].memory.slot_bytes = 512;
  rig.context.config.upstreams[1].groups.emplace_back("group");
  auto order = rig.order_of_upstream(engine::ApplyConfig::Kind::changed);
  order.upstreams[0].index = 1;
  rig.engine.order(std::move(order));
  rig.settle();
  const auto newcomer = rig.attach();
  for (int i = 0; i < 2; ++i) {
    rig.open_channel(*newcomer, "other");
    rig.open_channel(*client, "other");
  }
  CHECK(client->refusals == std::vector<int>{EMSGSIZE, EMSGSIZE});
  CHECK(client->offences.empty());
  CHECK(newcomer->channels.size() == 2);
  rig.open_channel(*client, "host");
  CHECK(client->channels.size() == 1);
}

TEST_CASE("engine.a group that is removed leaves nothing behind, and others as they were") {
  Rig rig;
  rig.add_group("third");
  const auto bystander = rig.attach_with_channel();
  auto client = rig.attach_with_channel(shm::kSubscribeOrphans | shm::kLateAnswers, kThird);
  rig.ask_in_vain(*client, 100'000);
  CHECK(rig.engine.multiplexer().requests_held() == 1);

  rig.remove_group(kThird);
  CHECK(rig.state_of(kThird) == shm::EngineState::stopped);
  // It is still there, until it is told to go.
  CHECK(ask(rig, *client) == Words{"NOT_SENT upstream_removed"});
  rig.open_channel(*client, "host");
  CHECK(client->refusals == std::vector<int>{EACCES});
  // One was on its way in.
  auto latecomer = rig.attach(kThird);
  rig.open_channel(*latecomer, "host");
  CHECK(latecomer->refusals == std::vector<int>{EACCES});
  rig.detach(latecomer);
  rig.detach(client);
  rig.advance_ms(2000);
  CHECK(ask(rig, *bystander) == Words{"ANSWERED"});
  // What was in flight keeps its key for as long as a late answer may come.
  rig.advance_ms(rig.context.config.upstreams[0].timeouts.late_answer_ms + 100'000);
  CHECK(rig.engine.multiplexer().requests_held() == 0);

  rig.add_group("third");
  const auto again = rig.attach_with_channel(0, kThird + 1);
  CHECK(ask(rig, *again) == Words{"ANSWERED"});
  CHECK(rig.row(kThird + 1)->answered == 1);
}

TEST_CASE("engine.orphans of a group that is removed are dropped, and those that come later are not kept") {
  Rig rig;
  const engine::Lane lane{.group = kOthers, .upstream = 0};
  auto waiting = rig.attach_with_channel(0, kOthers);
  auto open = rig.attach_with_channel(0, kOthers);
  auto last = rig.attach_with_channel(0, kOthers);
  rig.ask_in_vain(*waiting);
  rig.advance_ms(2 * simulation::kTimeoutMs);
  rig.kill(waiting);
  rig.ask_in_vain(*open, 100'000);
  rig.kill(open);
  rig.ask_in_vain(*last, 100'000);
  CHECK(rig.engine.orphans(lane).held == 2);
  rig.remove_group(kOthers);
  CHECK(rig.engine.orphans(lane).held == 0);
  rig.kill(last);
  CHECK(rig.engine.orphans(lane).held == 0);
  rig.advance_ms(100'000);
  CHECK(rig.engine.orphans(lane).held == 0);
  const auto client = rig.attach_with_channel(shm::kSubscribeOrphans);
  CHECK(ask(rig, *client) == Words{"ANSWERED"});
}

TEST_CASE("engine.what a host sends unasked after its upstream and its group were removed means nothing") {
  auto config = simulation::notice_config();
  config.upstreams[0].groups = {"group"};
  Rig rig(std::move(config));
  auto client = rig.attach_with_channel(shm::kSubscribeUnsolicited);
  rig.ask_in_vain(*client, 100'000);  // keeps the session
  rig.remove_group(0, engine::ApplyConfig::Kind::removed);
  rig.host_speaks();
  CHECK(client->collect(0).empty());
  rig.detach(client);
  rig.advance_ms(300'000);
  CHECK(rig.engine.multiplexer().requests_held() == 0);
}
