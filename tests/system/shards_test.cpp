// An engine with two data loops: each has its own upstreams, and clients use both.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/await.hpp"
#include "tests/system/command.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/ledger.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr const char* kUpstreams[] = {"zero", "one", "two"};  // at shards 0, 1 and 0

// Three upstreams at three hosts, and two shards.
class TwoShards {
 public:
  explicit TwoShards(const std::vector<std::string>& host_arguments) {
    for (const auto* name : kUpstreams) {
      records_.push_back(folder.path() + "/record-" + name);
      auto arguments = host_arguments;
      arguments.insert(arguments.end(), {"--record", records_.back()});
      hosts_.push_back(std::make_unique<host::HostProcess>(arguments));
    }
    config = engine_config(folder, {hosts_[0]->port()});
    config.engine.shards = 2;
    config.groups[0].memory.channels_per_client = 4;
    auto upstream = config.upstreams[0];
    set_keyed(upstream);
    config.upstreams.clear();
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      upstream.name = kUpstreams[i];
      upstream.endpoints = {{.host = "127.0.0.1", .port = hosts_[i]->port()}};
      upstream.sessions = 1 + static_cast<std::uint32_t>(i);
      config.upstreams.push_back(upstream);
    }
  }

  EngineProcess& start() {
    engine_ = std::make_unique<EngineProcess>(folder, config);
    return *engine_;
  }
  [[nodiscard]] const std::string& group() const { return config.groups[0].name; }
  [[nodiscard]] const std::vector<std::string>& records() const { return records_; }
  [[nodiscard]] std::uint16_t port(std::size_t host) const { return hosts_[host]->port(); }
  [[nodiscard]] std::size_t received(std::size_t host) const { return read_host_records({records_[host]}).size(); }
  [[nodiscard]] UpstreamFacts facts(const char* upstream) const { return upstream_facts(group(), upstream); }
  void stop() { CHECK(engine_->stop() == 0); }

 private:
  Residue residue_;

 public:
  TemporaryFolder folder;
  config::Config config;

 private:
  std::vector<std::string> records_;
  std::vector<std::unique_ptr<host::HostProcess>> hosts_;
  std::unique_ptr<EngineProcess> engine_;
};

// One attachment with a channel to each of the upstreams.
class Client {
 public:
  explicit Client(const config::Config& config, std::uint32_t flags = 0) {
    const auto options = attach_options(config);
    REQUIRE(tmx_attach(&options, &client_) == 0);
    for (const auto* upstream : kUpstreams) channels_.push_back(open(upstream, flags));
  }
  ~Client() {
    for (auto* channel : channels_) tmx_channel_discard(channel);
    tmx_detach(client_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  tmx_channel* open(const char* upstream, std::uint32_t flags = 0) {
    tmx_channel* channel = nullptr;
    tmx_channel_options options{};
    options.struct_bytes = sizeof options;
    options.flags = flags;
    REQUIRE_MESSAGE(tmx_channel_open_with(client_, upstream, &options, &channel) == 0, upstream);
    return channel;
  }
  void close(std::size_t number) { REQUIRE(tmx_channel_close(channels_[number]) == 0); }
  void reopen(std::size_t number, const char* upstream) { channels_[number] = open(upstream); }
  [[nodiscard]] tmx_channel* channel(std::size_t number) const { return channels_[number]; }

 private:
  tmx_client* client_ = nullptr;
  std::vector<tmx_channel*> channels_;
};

tmx_result ask(tmx_channel* channel, const std::string& message) {
  std::string answer(message.size(), '\0');
  tmx_result result{};
  REQUIRE(tmx_call(channel, message.data(), static_cast<std::uint32_t>(message.size()), answer.data(),
                   static_cast<std::uint32_t>(answer.size()), 0, &result) == 0);
  if (result.outcome == TMX_ANSWERED) CHECK(answer == message);
  return result;
}

// In a child: requests that the host never answers, until it is killed.
int leave_requests_open(const config::Config& config, std::uint64_t first_number, std::uint32_t timeout_ms) {
  const auto options = attach_options(config);
  tmx_client* client = nullptr;
  if (tmx_attach(&options, &client) != 0) return 1;
  for (const auto* upstream : {"one", "two"}) {
    tmx_channel* channel = nullptr;
    if (tmx_channel_open(client, upstream, &channel) != 0) return 2;
    for (int i = 0; i < 3; ++i) {
      const auto message = keyed_message(first_number++);
      tmx_buffer buffer{};
      if (tmx_reserve(channel, &buffer) != 0) return 3;
      std::ranges::copy(message, static_cast<char*>(buffer.data));
      if (tmx_submit(channel, &buffer, static_cast<std::uint32_t>(message.size()), 0, timeout_ms) != 0) return 4;
    }
  }
  for (;;) ::pause();
}

// The processors on which each thread may run, by the thread's name; "main" is the first.
std::multimap<std::string, std::string> allowed_processors(pid_t pid) {
  std::multimap<std::string, std::string> allowed;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream comm(task.path() / "comm");
    std::ifstream status(task.path() / "status");
    std::string name;
    std::getline(comm, name);
    if (task.path().filename() == std::to_string(pid)) name = "main";
    constexpr std::string_view kKey = "Cpus_allowed_list:\t";
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(kKey)) allowed.emplace(name, line.substr(kKey.size()));
    }
  }
  return allowed;
}

}  // namespace

TEST_CASE("outcome.clients with channels at two shards, one of them killed: the ledger agrees") {
  TwoShards rig({"--mode", "echo", "--delay-us", "300", "--jitter-us", "3000", "--out-of-order"});
  auto& engine = rig.start();
  engine.await_sessions(6);
  StopSign stop;
  std::vector<std::unique_ptr<LoadProcess>> clients;
  std::vector<std::string> ledgers;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    auto order = load_order(rig.config, i);
    order.upstreams.assign(std::begin(kUpstreams), std::end(kUpstreams));
    order.stop = stop.descriptor();
    order.ledger = rig.folder.path() + "/ledger-" + std::to_string(i);
    ledgers.push_back(order.ledger);
    clients.push_back(std::make_unique<LoadProcess>(order));
  }
  // What the tables say of a client is told once, with what all shards have of it.
  await([&] {
    const auto all = group_facts(rig.group()).clients;
    return all.size() == 3 && std::ranges::all_of(all, [](const auto& client) { return client.channels == 3; });
  });
  const auto have_answered = [&](std::uint64_t least) {
    return std::ranges::all_of(kUpstreams, [&](const char* name) { return rig.facts(name).answered >= least; });
  };
  await([&] { return have_answered(200); });
  clients[2]->kill();
  await([&] { return have_answered(1000); });
  stop.raise();
  for (int i = 0; i < 2; ++i) {
    const auto report = clients[static_cast<std::size_t>(i)]->report();
    CHECK_MESSAGE(report.answered == report.submitted, words_of(report));
  }
  const auto complaints = contradictions(read_ledgers(ledgers), read_host_records(rig.records()));
  CHECK_MESSAGE(complaints.empty(), complaints.size(), " contradictions, such as ",
                complaints.empty() ? "" : complaints[0]);
  await([&] { return group_facts(rig.group()).clients.empty(); });
  rig.stop();
}

TEST_CASE("outcome.requests of a dead process become orphans at each shard, and each shard's subscriber gets its own") {
  TwoShards rig({"--mode", "sink"});
  auto& engine = rig.start();
  engine.await_sessions(6);
  ChildProcess doomed([&] { return leave_requests_open(rig.config, 100, 700); });
  await([&] { return rig.received(1) == 3 && rig.received(2) == 3; });
  await([&] {
    const auto facts = group_facts(rig.group());
    return facts.clients.size() == 1 && facts.clients[0].channels == 2 && facts.clients[0].in_flight == 6;
  });
  const auto status = status_json(rig.config);
  CHECK_MESSAGE(status.find("\"in_flight\": 6") != std::string::npos, status);
  doomed.send_signal(SIGKILL);
  engine.log().wait_for("event=client_released");

  Client subscriber(rig.config, TMX_SUBSCRIBE_ORPHANS);
  std::set<std::string> taken;
  for (const std::size_t number : {1, 2}) {
    std::set<std::string> of_channel;
    await([&] {
      tmx_completion completion{};
      if (tmx_poll(subscriber.channel(number), &completion, 1, 0) != 1) return false;
      CHECK(completion.kind == TMX_ORPHAN);
      CHECK(completion.outcome == TMX_MAYBE_SENT);
      of_channel.emplace(static_cast<const char*>(completion.request), 16);
      REQUIRE(tmx_release(subscriber.channel(number), &completion) == 0);
      return of_channel.size() == 3;
    });
    taken.merge(of_channel);
  }
  std::set<std::string> expected;
  for (std::uint64_t number = 100; number < 106; ++number) expected.insert(keyed_message(number).substr(0, 16));
  CHECK(taken == expected);
  for (const auto* upstream : {"one", "two"}) {
    await([&] { return count_of(rig.facts(upstream).maybe_sent, shm::Reason::deadline) == 3; });
  }
  rig.stop();
}

TEST_CASE("outcome.drain and refresh reach each shard") {
  TwoShards rig({"--mode", "echo"});
  auto& engine = rig.start();
  engine.await_sessions(6);
  Client client(rig.config);
  for (std::size_t i = 0; i < 3; ++i) CHECK(ask(client.channel(i), keyed_message(i)).outcome == TMX_ANSWERED);
  const auto status =
      run_tlsmux("status --group " + rig.group() + " --control-socket " + rig.config.engine.control_socket);
  for (const auto* upstream : kUpstreams) CHECK_MESSAGE(status.text.find(upstream) != std::string::npos, status.text);

  const auto command = [&](const std::string& text) {
    return run_tlsmux(text + " --control-socket " + rig.config.engine.control_socket);
  };
  for (std::size_t i = 0; i < 3; ++i) {
    const auto drained = command(std::string("drain ") + kUpstreams[i]);
    CHECK_MESSAGE(drained.exit_code == 0, drained.text);
    CHECK(ask(client.channel(i), keyed_message(10 + i)).reason == TMX_REASON_UPSTREAM_DRAINING);
    CHECK(ask(client.channel((i + 1) % 3), keyed_message(20 + i)).outcome == TMX_ANSWERED);
    CHECK(command(std::string("drain --resume ") + kUpstreams[i]).exit_code == 0);
    CHECK(ask(client.channel(i), keyed_message(30 + i)).outcome == TMX_ANSWERED);
  }
  CHECK(command("drain nobody").exit_code == 1);

  // One more, which the second shard gets, a setting of each shard's, and one that goes.
  auto changed = rig.config;
  changed.upstreams.push_back(changed.upstreams[0]);
  changed.upstreams.back().name = "three";
  changed.upstreams[0].queue_max = 7;
  changed.upstreams[1].queue_max = 8;
  changed.upstreams.erase(changed.upstreams.begin() + 2);
  const auto path = rig.folder.path() + "/" + rig.group() + ".json";
  std::filesystem::remove(path);
  REQUIRE(rig.folder.add(rig.group() + ".json", config_text(changed), 0644) == path);
  const auto refreshed = command("refresh");
  CHECK_MESSAGE(refreshed.exit_code == 0, refreshed.text);
  CHECK(ask(client.channel(2), keyed_message(40)).reason == TMX_REASON_UPSTREAM_REMOVED);
  client.close(2);
  client.reopen(2, "three");
  const auto before = rig.received(0);
  for (std::size_t i = 0; i < 3; ++i) CHECK(ask(client.channel(i), keyed_message(50 + i)).outcome == TMX_ANSWERED);
  await([&] { return rig.received(0) == before + 2; });  // of "zero" and "three"
  await([&] { return rig.facts("three").answered == 1 && rig.facts("three").sessions_ready == 1; });
  await([&] { return rig.facts("two").name.empty(); });
  rig.stop();
}

TEST_CASE("engine.channels of one client move between shards as they are closed and opened") {
  TwoShards rig({"--mode", "echo"});
  rig.config.groups[0].memory.channels_per_client = 3;
  auto& engine = rig.start();
  engine.await_sessions(6);
  Client client(rig.config);
  std::uint64_t number = 0;
  for (std::size_t round = 0; round < 30; ++round) {
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(ask(client.channel(i), keyed_message(number++)).outcome == TMX_ANSWERED);
    }
    // All three have numbers: the next to be opened gets the one that was closed, at the other shard.
    const auto which = round % 3;
    client.close(which);
    client.reopen(which, kUpstreams[(round + round / 3) % 3]);
  }
  await([&] { return rig.facts("zero").answered + rig.facts("one").answered + rig.facts("two").answered == number; });
  CHECK(rig.facts("one").answered > 1);
  await([&] {
    const auto facts = group_facts(rig.group());
    return facts.clients.size() == 1 && facts.clients[0].channels == 3;
  });
  rig.stop();
}

TEST_CASE("engine.shards run on the processors that the configuration names, and their workers anywhere") {
  if (std::thread::hardware_concurrency() < 2) {
    skip("it needs two processors");
    return;
  }
  TwoShards rig({"--mode", "echo"});
  rig.config.engine.cpus = {1, 0};
  auto& engine = rig.start();
  // A worker bears the name of the shard that started it until it has given itself its own.
  const auto workers = 2 * rig.config.engine.worker_threads;
  await([&] { return allowed_processors(engine.engine_pid()).count("tmx-worker") == workers; });
  const auto allowed = allowed_processors(engine.engine_pid());
  const auto of = [&](const char* name) {
    std::set<std::string> processors;
    for (auto [it, end] = allowed.equal_range(name); it != end; ++it) processors.insert(it->second);
    return processors;
  };
  CHECK(of("tmx-data-0") == std::set<std::string>{"1"});
  CHECK(of("tmx-data-1") == std::set<std::string>{"0"});
  CHECK(of("tmx-worker") == of("main"));
  CHECK(of("tmx-resolver") == of("main"));
  CHECK(engine.log().count("event=shard_not_pinned") == 0);
  rig.stop();
}

TEST_CASE("engine.processor that the machine does not have is reported, and the shard runs elsewhere") {
  TwoShards rig({"--mode", "echo"});
  rig.config.engine.cpus = {0, 1023};
  auto& engine = rig.start();
  const auto line = engine.log().wait_for("event=shard_not_pinned");
  CHECK_MESSAGE(line.find("shard=1 cpu=1023") != std::string::npos, line);
  CHECK(line.find("needs=\"/engine/cpus/1 to be one of") != std::string::npos);
  Client client(rig.config);
  for (std::size_t i = 0; i < 3; ++i) CHECK(ask(client.channel(i), keyed_message(i)).outcome == TMX_ANSWERED);
  rig.stop();
}

}  // namespace tlsmux::test
