// Clients, the engine, the broker and hosts are killed and stopped at random moments while requests go through them.
// At the end each client that lived must know exactly one outcome of each of its requests, and the hosts' records must
// not contradict any of them.
//
// TLSMUX_SEED repeats the sequence of faults (their moments depend on the machine); TLSMUX_FAULTS_SECONDS runs longer.

#include <poll.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/ledger.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/residue.hpp"

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

// A host that comes back at its own port.
class Host {
 public:
  Host(const TemporaryFolder& folder, const std::string& name, std::vector<std::string> arguments)
      : record_(folder.path() + "/record-" + name), arguments_(std::move(arguments)) {
    arguments_.insert(arguments_.end(), {"--mode", "echo", "--record", record_, "--message-bytes-max", "65535"});
    process_ = std::make_unique<host::HostProcess>(arguments_);
    arguments_.insert(arguments_.end(), {"--listen", "127.0.0.1:" + std::to_string(process_->port())});
  }

  [[nodiscard]] std::uint16_t port() const { return process_->port(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] const std::string& record() const { return record_; }
  void kill_and_restart() {
    process_->kill();
    process_ = std::make_unique<host::HostProcess>(arguments_);
  }
  int stop() { return process_->stop(); }

 private:
  std::string record_;
  std::vector<std::string> arguments_;
  std::unique_ptr<host::HostProcess> process_;
};

class Chaos {
 public:
  Chaos();
  void run(Clock::time_point until);
  void end();

 private:
  config::Config make_config();
  void add_client();
  void act();
  void kill_client();
  void kill_broker();
  void stop_for_a_while(pid_t pid);
  void pause(int ms_max) { ::poll(nullptr, 0, static_cast<int>(below(static_cast<std::size_t>(ms_max)))); }
  std::size_t below(std::size_t bound) { return random_() % bound; }
  Host& some_host() { return *hosts_[below(hosts_.size())]; }

  std::mt19937_64 random_{seed()};
  TemporaryFolder folder_;
  std::vector<std::unique_ptr<Host>> hosts_;
  config::Config config_;
  std::unique_ptr<EngineProcess> engine_;
  StopSign stop_;
  std::vector<std::unique_ptr<LoadProcess>> clients_;
  std::vector<std::string> ledgers_;  // of the dead, too: what they had been told must be true
  std::array<int, 8> actions_{};
};

Chaos::Chaos() {
  hosts_.push_back(std::make_unique<Host>(
      folder_, "a", std::vector<std::string>{"--delay-us", "500", "--jitter-us", "20000", "--out-of-order"}));
  hosts_.push_back(std::make_unique<Host>(folder_, "b", std::vector<std::string>{"--close-after", "400"}));
  hosts_.push_back(std::make_unique<Host>(folder_, "fifo", std::vector<std::string>{"--jitter-us", "2000"}));
  config_ = make_config();
  engine_ = std::make_unique<EngineProcess>(folder_, config_);
  for (std::size_t i = 0; i < kClients; ++i) add_client();
}

config::Config Chaos::make_config() {
  auto config = engine_config(folder_, {hosts_[0]->port(), hosts_[1]->port()});
  config.engine.drain_timeout_ms = 1000;
  config.engine.shards = 1 + static_cast<std::uint32_t>(below(2));
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
  return config;
}

void Chaos::add_client() {
  auto order = load_order(config_, static_cast<std::uint32_t>(ledgers_.size() + 1));
  order.upstreams = {"acquirer", "fifo"};
  order.stop = stop_.descriptor();
  order.bytes_max = 30'000;
  order.timeout_ms_min = 20;
  order.timeout_ms_max = 1500;
  order.cancel_percent = 2;
  order.ledger = folder_.path() + "/ledger-" + std::to_string(order.client);
  ledgers_.push_back(order.ledger);
  clients_.push_back(std::make_unique<LoadProcess>(order));
}

void Chaos::run(Clock::time_point until) {
  while (Clock::now() < until) {
    pause(kPauseMsMax);
    act();
  }
}

void Chaos::act() {
  const auto action = below(actions_.size());
  ++actions_[action];
  switch (action) {
    case 0: return kill_client();
    case 1: return stop_for_a_while(clients_[below(clients_.size())]->pid());
    case 2: return engine_->kill_engine();
    case 3: return stop_for_a_while(engine_->engine_pid());
    case 4: return some_host().kill_and_restart();
    case 5: return stop_for_a_while(some_host().pid());
    case 6: return stop_for_a_while(engine_->broker_pid());
    default: return kill_broker();
  }
}

void Chaos::kill_client() {
  const auto victim = clients_.begin() + static_cast<std::ptrdiff_t>(below(clients_.size()));
  (*victim)->kill();
  clients_.erase(victim);
  add_client();
}

void Chaos::kill_broker() {
  CHECK(engine_->kill_broker() == 0);  // the engine's exit code
  CHECK(engine_->log().count("event=drained") == 1);
  engine_ = std::make_unique<EngineProcess>(folder_, config_);
}

void Chaos::stop_for_a_while(pid_t pid) {
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  pause(kStopMsMax);
  REQUIRE(::kill(pid, SIGCONT) == 0);
}

void Chaos::end() {
  stop_.raise();
  LoadReport all;
  for (auto& client : clients_) {
    const auto report = client->report();
    all.submitted += report.submitted;
    all.answered += report.answered;
    all.refused_submissions += report.refused_submissions;
    for (std::size_t i = 0; i < all.not_sent_reasons.size(); ++i) {
      all.not_sent_reasons[i] += report.not_sent_reasons[i];
      all.maybe_sent_reasons[i] += report.maybe_sent_reasons[i];
    }
  }
  CHECK(engine_->stop() == 0);
  std::vector<std::string> records;
  for (auto& host : hosts_) {
    CHECK(host->stop() == 0);
    records.push_back(host->record());
  }
  const auto entries = read_ledgers(ledgers_);
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
