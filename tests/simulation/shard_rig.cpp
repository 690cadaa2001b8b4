#include "tests/simulation/shard_rig.hpp"

#include <doctest/doctest.h>

#include "shm/shared_copy.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

config::Config shard_config() {
  config::Config config;
  config.groups = {{.name = "group", .users = {}, .unix_groups = {}, .memory = {}},
                   {.name = "others", .users = {}, .unix_groups = {}, .memory = {}}};
  for (auto& group : config.groups) {
    group.memory = {.clients_max = 3, .channels_per_client = 2, .slots_per_channel = 8, .slot_bytes = 128};
  }
  config::UpstreamSettings upstream;
  upstream.name = "host";
  upstream.groups = {"group"};
  upstream.endpoints = {{.host = "127.0.0.1", .port = 9000}};
  upstream.sessions = 1;
  upstream.framing.message_bytes_max = 100;
  config.upstreams = {upstream, upstream};
  config.upstreams[1].name = "other";
  config.upstreams[1].groups = {"others"};
  return config;
}

void TestClient::channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) {
  channels.push_back(std::make_unique<client::AttachedChannel>(client::OpenedChannel{
      .attachment = attached.attachment, .reply = reply, .wake = std::move(wake), .settings = {.flags = flags}}));
  REQUIRE(channels.back()->lend());
}

void TestClient::reply(std::size_t channel, const client::RequestOutcome& notice, std::string_view text) {
  auto& to = *channels[channel];
  const auto use = to.reserve();
  const auto bytes = std::as_bytes(std::span(text));
  shm::copy_bytes(to.slot_bytes(use.slot), bytes);
  const auto number =
      context->ledger.submit({.client = id, .group = group, .in_order = true, .length = text.size(), .is_reply = true});
  REQUIRE(to.push({.use = use,
                   .length = static_cast<std::uint32_t>(text.size()),
                   .tag = number,
                   .operation = shm::Operation::reply,
                   .notice = notice.notice},
                  static_cast<std::int64_t>(context->now_ns)) == 0);
  to.publish();
}

std::uint64_t TestClient::push(std::size_t channel, std::size_t length, std::uint32_t timeout_ms) {
  auto& to = *channels[channel];
  REQUIRE(to.has_free_slots());
  const auto use = to.reserve();
  const auto key = context->ledger.size() + 1;
  const auto number =
      context->ledger.submit({.client = id, .group = group, .in_order = true, .key = key, .length = length});
  write_request(to.slot_bytes(use.slot).first(length), {.number = number, .key = key, .length = length});
  REQUIRE(to.push({.use = use, .length = static_cast<std::uint32_t>(length), .tag = number, .timeout_ms = timeout_ms},
                  static_cast<std::int64_t>(context->now_ns)) == 0);
  return number;
}

std::vector<std::string> TestClient::collect(std::size_t channel) {
  client::OutcomeQueue outcomes;
  outcomes.set_capacity(channels[channel]->in_flight_max() + channels[channel]->notices_max());
  REQUIRE(channels[channel]->collect(outcomes));
  std::vector<std::string> words;
  while (!outcomes.empty()) {
    const auto outcome = outcomes.pop();
    channels[channel]->hand_over(outcome);
    channels[channel]->publish_seen();
    if (outcome.is_notice()) {
      notices.push_back(outcome);
      switch (outcome.kind) {
        case shm::NoticeKind::late: words.emplace_back("late"); continue;
        case shm::NoticeKind::unsolicited: words.emplace_back("unsolicited"); continue;
        default: words.emplace_back("orphan " + std::string(shm::outcome_name(outcome.outcome)));
      }
      if (outcome.reason != shm::Reason::none) words.back() += " " + std::string(shm::reason_name(outcome.reason));
      continue;
    }
    context->ledger.ended(outcome.tag, outcome.outcome, outcome.reason, {outcome.data, outcome.length});
    words.emplace_back(shm::outcome_name(outcome.outcome));
    if (outcome.reason != shm::Reason::none) words.back() += " " + std::string(shm::reason_name(outcome.reason));
    if (outcome.outcome == shm::Outcome::answered) channels[channel]->release(outcome.answer.use);
  }
  return words;
}

void TestClient::release_notices(std::size_t channel) {
  for (const auto& notice : notices) REQUIRE(channels[channel]->release(notice.answer.use));
  notices.clear();
  REQUIRE(channels[channel]->lend());
}

shm::ChannelHeader& TestClient::header(std::size_t channel) {
  return *reinterpret_cast<shm::ChannelHeader*>(attached.attachment->channel(channels[channel]->number()).data());
}

shm::ShardWords& TestClient::words() {
  auto* const start = attached.attachment->channel(0).data() - attached.attachment->geometry().channel_offset(0);
  return reinterpret_cast<shm::ClientHeader*>(start)->shards[0];
}

ShardRig::ShardRig(config::Config config) : context(1, std::move(config)), network(context), engine(context, network) {
  engine.start();
  settle();
}

void ShardRig::settle() {
  bool any = true;
  while (any) {
    any = engine.wants_turn();
    if (any) engine.turn();
    any = network.step() || engine.step() || any;
  }
}

void ShardRig::advance_ms(std::uint64_t ms) {
  context.now_ns += ms * engine::mux::kNanosecondsPerMillisecond;
  settle();
}

std::unique_ptr<TestClient> ShardRig::attach(std::uint32_t group) {
  auto client = std::make_unique<TestClient>();
  client->context = &context;
  client->group = group;
  client->id = ++last_client_;
  auto attached = engine.attach(1, group, 1, *client);
  REQUIRE(attached.has_value());
  client->attached = std::move(*attached);
  settle();
  return client;
}

std::unique_ptr<TestClient> ShardRig::attach_with_channel(std::uint32_t flags, std::uint32_t group) {
  auto client = attach(group);
  open_channel(*client, "host", flags);
  REQUIRE(client->channels.size() == 1);
  return client;
}

void ShardRig::open_channel(TestClient& client, const std::string& upstream, std::uint32_t flags) {
  client.flags = flags;
  engine.open_channel(client.attached.id, upstream, flags);
  settle();
}

void ShardRig::kill(std::unique_ptr<TestClient>& client) {
  engine.dismiss(client->attached.id, true);
  client.reset();
  settle();
}

}  // namespace tlsmux::simulation
