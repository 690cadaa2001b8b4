// Trace numbers over engines that die, with the broker's real memory on disk and a clock of the test's own.

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/broker/trace_store.hpp"
#include "tests/engine/trace_desk.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace tlsmux;
using namespace tlsmux::engine;

namespace {

constexpr std::int64_t kNoonS = 12 * 60 * 60;

// Starts one engine after the other; the one before it has been killed, with its broker or without.
struct Machine {
  config::Config config;
  // In memory: the disk's promises are not what is tested here.
  test::TemporaryFolder folder{"/dev/shm"};

  std::unique_ptr<Desk> start_engine(std::uint64_t now) {
    auto store = std::make_shared<broker::TraceStore>();
    store->set_folder(folder.path());
    const auto reserve = [this, store](const TraceNeed& need) -> std::optional<TraceReservation> {
      const auto reserved = store->reserve("ACQUIRER", config.upstreams[0].trace_numbers, need, kNoonS);
      REQUIRE(reserved.has_value());
      return reserved->reservation;
    };
    return std::make_unique<Desk>(config, reserve, now);
  }
};

// Which round of the numbers the engines are in, by the blocks that they lease one after the other.
struct Rounds {
  std::uint32_t present = 0;
  std::uint32_t last_block = 0;

  void see(std::uint32_t block) {
    if (block < last_block) ++present;
    last_block = block;
  }
};

// Clients that take numbers, use some of them for requests, and are now and then late to see that their engine died.
class Town {
 public:
  explicit Town(const config::Config& config) : machine_{.config = config}, engine_(machine_.start_engine(now_)) {
    for (auto& client : clients_) renew(client);
    watch_grants();
  }

  void step() {
    now_ += at_random(50'000'000);
    engine_->now = now_;
    end_requests();
    begin_requests();
    if (now_ >= killed_next_ns_) kill_engine();
    auto& client = clients_[at_random(clients_.size())];
    if (client.is_late && now_ >= client.sees_death_ns) renew(client);
    for (auto wanted = at_random(20); wanted > 0 && take(client); --wanted) {
    }
    if (at_random(300) == 0) close(client);
    engine_->turn();
  }

  std::uint32_t taken = 0;
  std::uint32_t kills = 0;
  Rounds rounds;

 private:
  struct Client {
    std::unique_ptr<TestChannel> channel;
    std::uint32_t newest_block = ~0U;
    bool is_late = false;  // its engine is dead
    std::uint64_t sees_death_ns = 0;
  };
  struct Request {
    std::uint32_t number = 0;
    std::uint32_t index = 0;
    std::uint64_t at_ns = 0;
  };

  std::uint64_t at_random(std::uint64_t below) { return random_() % below; }

  bool take(Client& client) {
    std::optional<std::uint32_t> number;
    if (std::uint32_t left = 0; client.is_late) {
      auto& lease = client.channel->client;
      if (!lease.next(left) && !(lease.begin_block().value() && lease.next(left))) return false;
      number = left;
    } else {
      number = engine_->next(*client.channel);
    }
    if (!number) return false;
    check(*number);
    return true;
  }

  void watch_grants() {
    engine_->on_granted = [this](std::uint32_t ref) {
      auto& client = clients_[ref];
      const auto& blocks = client.channel->lease.blocks;
      const auto known = std::ranges::find(blocks, client.newest_block);
      std::for_each(known == blocks.end() ? blocks.begin() : known + 1, blocks.end(),
                    [&](std::uint32_t block) { rounds.see(block); });
      client.newest_block = blocks.back();
    };
  }

  void check(std::uint32_t number) {
    ++taken;
    CAPTURE(number);
    CAPTURE(rounds.present);
    REQUIRE(in_use_.insert(number).second);
    const auto [last, is_new] = last_round_.try_emplace(number, rounds.present);
    REQUIRE((is_new || last->second < rounds.present));
    last->second = rounds.present;
    // A while later it becomes a request.
    waiting_.push_back({.number = number, .at_ns = now_ + at_random(40 * kSecond)});
  }

  void begin_requests() {
    std::erase_if(waiting_, [&](const Request& each) {
      if (each.at_ns > now_) return false;
      const auto index = engine_->requests.allocate();
      auto& request = engine_->requests[index];
      request.state = mux::RequestState::in_flight;
      request.upstream = 0;
      request.intake_ns = now_;
      const auto takes_ns = at_random(10) == 0 ? 90 * kSecond : kSecond;
      open_.push_back({.number = each.number, .index = index, .at_ns = now_ + at_random(takes_ns)});
      return true;
    });
  }

  void end_requests() {
    std::erase_if(open_, [&](const Request& each) {
      if (each.at_ns > now_) return false;
      in_use_.erase(each.number);
      engine_->requests.release(each.index);
      return true;
    });
  }

  void kill_engine() {
    ++kills;
    killed_next_ns_ = now_ + at_random(at_random(3) == 0 ? 5 * kSecond : 200 * kSecond);
    for (const auto& each : open_) in_use_.erase(each.number);
    open_.clear();
    engine_ = machine_.start_engine(now_);
    watch_grants();
    for (auto& client : clients_) {
      if (client.is_late) continue;
      client.is_late = true;
      client.sees_death_ns = now_ + (at_random(2) == 0 ? 0 : at_random(shm::kTraceTrustNs));
    }
  }

  void close(Client& client) {
    if (!client.is_late) engine_->numbers.leave(0, client.channel->lease);
    renew(client);
  }

  void renew(Client& client) {
    client.is_late = false;
    client.newest_block = ~0U;
    client.channel = std::make_unique<TestChannel>();
    client.channel->ref = static_cast<std::uint32_t>(&client - clients_.data());
  }

  std::mt19937_64 random_{test::seed()};
  std::uint64_t now_ = 1000 * kSecond;
  std::uint64_t killed_next_ns_ = now_ + 30 * kSecond;
  Machine machine_;
  std::unique_ptr<Desk> engine_;
  std::array<Client, 6> clients_;
  std::set<std::uint32_t> in_use_;                     // from being taken until the request has ended
  std::map<std::uint32_t, std::uint32_t> last_round_;  // in which a number was taken
  std::vector<Request> waiting_;
  std::vector<Request> open_;
};

}  // namespace

TEST_CASE("engine.trace numbers come once in a round and never in flight, over hundreds of dead engines") {
  CAPTURE(test::seed());
  Town town(trace_config(1, 2000, 5));
  while (town.rounds.present < 50) town.step();
  CHECK(town.kills > 30);
  MESSAGE(town.taken, " numbers, ", town.rounds.present, " rounds, ", town.kills, " engines killed");
}

TEST_CASE("engine.a restart goes on with the next chunk and spares what may be with clients") {
  Machine machine{.config = trace_config(1, 6400, 4)};  // 1600 blocks, in chunks of 25
  auto engine = machine.start_engine(1000 * kSecond);
  TestChannel idle;
  std::set<std::uint32_t> seen{engine->next(idle).value()};  // and more of its block are to come
  TestChannel busy;
  for (int i = 0; i < 6000; ++i) {
    engine->now += kSecond / 10;
    REQUIRE(seen.insert(engine->next(busy).value()).second);
  }
  auto next = machine.start_engine(engine->now);
  TestChannel fresh;
  // Over the end of the round, and over the blocks of the idle client.
  std::set<std::uint32_t> of_the_next;
  for (int i = 0; i < 6000; ++i) {
    next->now += kSecond / 100;
    if (const auto number = next->next(fresh)) REQUIRE(of_the_next.insert(*number).second);
  }
  for (std::uint32_t number = 0; idle.client.next(number);) CHECK_FALSE(of_the_next.contains(number));
  CHECK(of_the_next.size() > 5000);
}

TEST_CASE("engine.what clients may have is spared in another range and block length, too") {
  Machine machine{.config = trace_config(1, 6400, 4)};
  auto engine = machine.start_engine(1000 * kSecond);
  TestChannel client;
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 10; ++i) seen.insert(engine->next(client).value());
  machine.config = trace_config(*seen.begin() - 1, *seen.begin() + 400, 7);
  auto next = machine.start_engine(engine->now);
  TestChannel other;
  std::uint32_t taken = 0;
  for (; const auto number = next->next(other); ++taken) CHECK_FALSE(seen.contains(*number));
  CHECK(taken > 100);
  next->now += 70 * kSecond;
  while (const auto number = next->next(other)) seen.erase(*number);
  CHECK(seen.empty());
}
