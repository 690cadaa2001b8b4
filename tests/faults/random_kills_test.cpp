// Clients, the engine, the broker and hosts are killed and stopped at random moments while requests go through them.
// At the end each client that lived must know exactly one outcome of each of its requests, and the hosts' records must
// not contradict any of them.
//
// TLSMUX_SEED repeats the sequence of faults (their moments depend on the machine); TLSMUX_FAULTS_SECONDS runs longer.

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seed.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/fault_loop.hpp"
#include "tests/system/ledger.hpp"
#include "tests/system/load_crowd.hpp"
#include "tests/system/residue.hpp"
#include "tests/system/returning_host.hpp"

namespace tlsmux::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kClients = 6;
constexpr int kPauseMsMax = 120;  // between two faults
constexpr int kStopMsMax = 400;   // how long something stands still

std::chrono::seconds duration() {
  const char* text = std::getenv("TLSMUX_FAULTS_SECONDS");
  return std::chrono::seconds(text != nullptr ? std::atoi(text) : 20);
}

class Chaos {
 public:
  Chaos();
  void run(Clock::time_point until) { faults_.run(until); }
  void end();

 private:
  config::Config make_config();
  LoadOrder make_order(std::uint32_t client) const;
  std::vector<Fault> make_faults();
  void kill_broker();
  void stop_for_a_while(pid_t pid) { stand_still(chance_, pid, kStopMsMax); }
  ReturningHost& some_host() { return *chance_.one_of(hosts_); }

  Chance chance_{seed()};
  TemporaryFolder folder_;
  std::vector<std::unique_ptr<ReturningHost>> hosts_;
  config::Config config_;
  std::unique_ptr<EngineProcess> engine_;
  LoadCrowd clients_{folder_.path(), [this](std::uint32_t client) { return make_order(client); }};
  FaultLoop faults_{chance_, make_faults(), kPauseMsMax};
};

Chaos::Chaos() {
  const auto add_host = [&](const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--mode", "echo"});
    hosts_.push_back(std::make_unique<ReturningHost>(folder_, name, std::move(arguments)));
  };
  add_host("a", {"--delay-us", "500", "--jitter-us", "20000", "--out-of-order"});
  add_host("b", {"--close-after", "400"});
  add_host("fifo", {"--jitter-us", "2000"});
  config_ = make_config();
  engine_ = std::make_unique<EngineProcess>(folder_, config_);
  clients_.add(kClients);
}

config::Config Chaos::make_config() {
  auto config = engine_config(folder_, {hosts_[0]->port(), hosts_[1]->port()});
  config.engine.drain_timeout_ms = 1000;
  config.engine.shards = 1 + static_cast<std::uint32_t>(chance_.below(2));
  auto& keyed = config.upstreams[0];
  keyed.sessions = 2;
  keyed.in_flight_max = 12;
  keyed.timeouts.late_answer_ms = 2000;
  keyed.timeouts.write_stall_ms = 2000;
  auto fifo = keyed;
  set_keyed(keyed);
  fifo.name = "fifo";
  fifo.endpoints = {{.host = "127.0.0.1", .port = hosts_[2]->port()}};
  config.upstreams.push_back(fifo);
  set_large_messages(config);
  config.groups[0].memory.channels_per_client = 2;
  config.groups[0].memory.slots_per_channel = 16;
  config.groups[0].memory.wipe_slots = true;  // nothing is wiped that anybody still needs
  return config;
}

LoadOrder Chaos::make_order(std::uint32_t client) const {
  auto order = load_order(config_, client);
  order.upstreams = {"acquirer", "fifo"};
  order.bytes_max = 30'000;
  order.timeout_ms_min = 20;
  order.timeout_ms_max = 1500;
  order.cancel_percent = 2;
  return order;
}

std::vector<Fault> Chaos::make_faults() {
  return {{"client killed", [this] { clients_.kill_one(chance_); }},
          {"client stops", [this] { stop_for_a_while(clients_.some(chance_).pid()); }},
          {"engine killed", [this] { engine_->kill_engine(); }},
          {"engine stops", [this] { stop_for_a_while(engine_->engine_pid()); }},
          {"host killed", [this] { some_host().kill_and_restart(); }},
          {"host stops", [this] { stop_for_a_while(some_host().pid()); }},
          {"broker stops", [this] { stop_for_a_while(engine_->broker_pid()); }},
          {"broker killed", [this] { kill_broker(); }}};
}

void Chaos::kill_broker() {
  CHECK(engine_->kill_broker() == 0);  // the engine's exit code
  CHECK(engine_->log().count("event=drained") == 1);
  engine_ = std::make_unique<EngineProcess>(folder_, config_);
}

void Chaos::end() {
  const auto all = clients_.finish();
  CHECK(engine_->stop() == 0);
  std::vector<std::string> records;
  for (auto& host : hosts_) {
    CHECK(host->stop() == 0);
    records.push_back(host->record());
  }
  const auto entries = read_ledgers(clients_.take_ledgers());
  const auto receipts = read_host_records(records);
  MESSAGE("survivors: ", words_of(all), "; received by the hosts: ", count_receipts(receipts));
  CHECK(all.answered > 0);
  std::size_t told = 0;
  for (const auto& words : contradictions(entries, receipts)) {
    if (++told <= 20) FAIL_CHECK(words);
  }
}

}  // namespace

TEST_CASE("faults.random_kills") {
  const Residue residue;
  INFO("TLSMUX_SEED=", seed());
  Chaos chaos;
  chaos.run(Clock::now() + duration());
  chaos.end();
}

}  // namespace tlsmux::test
