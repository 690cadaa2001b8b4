// Clients that are killed: nothing of them stays in the engine, and nobody else notices.

#include <poll.h>

#include <algorithm>
#include <memory>
#include <random>

#include <doctest/doctest.h>

#include "tests/faults/doomed_client.hpp"
#include "tests/faults/rig.hpp"
#include "tests/faults/unusable_host.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/proc_files.hpp"

namespace tlsmux::test {
namespace {

// What the engine holds of its clients.
struct Holdings {
  std::size_t memories = 0;
  std::size_t descriptors = 0;
  std::size_t rows = 0;
  friend bool operator==(const Holdings&, const Holdings&) = default;
  [[nodiscard]] std::string text() const {
    return std::to_string(memories) + " memories, " + std::to_string(descriptors) + " descriptors, " +
           std::to_string(rows) + " rows";
  }
};

Holdings holdings(EngineProcess& engine, const std::string& group) {
  return {.memories = count_mappings(engine.engine_pid(), "memfd:tlsmux-client"),
          .descriptors = descriptor_count(engine.engine_pid()),
          .rows = group_facts(group).clients.size()};
}

void check_back_to(const Holdings& before, EngineProcess& engine, const std::string& group) {
  Holdings now;
  const bool back = eventually([&] { return (now = holdings(engine, group)) == before; });
  CHECK_MESSAGE(back, "before: ", before.text(), "; now: ", now.text());
}

// Upstreams where requests are answered, stay in flight, and stay queued.
class Deathbed {
 public:
  Deathbed() : echo_({"--mode", "echo"}), sink_({"--mode", "sink"}), config_(make_config()), engine_(folder_, config_) {
    engine_.await_sessions(2);
    bystander_ = std::make_unique<Requester>(config_);
    const auto count = [this](shm::SessionState state) {
      return std::ranges::count(group_facts(group()).sessions, state);
    };
    await([&] {
      return count(shm::SessionState::ready) == 2 && count(shm::SessionState::connecting) == 1 &&
             group_facts(group()).clients.size() == 1;
    });
    // What the engine had begun by then, it has done when it answers.
    CHECK(bystander_->ask("a request").outcome == TMX_ANSWERED);
  }

  [[nodiscard]] const std::string& group() const { return config_.groups[0].name; }
  [[nodiscard]] const config::Config& config() const { return config_; }
  EngineProcess& engine() { return engine_; }
  Requester& bystander() { return *bystander_; }
  void stop() {
    bystander_.reset();
    CHECK(engine_.stop() == 0);
  }

 private:
  config::Config make_config() {
    auto config = engine_config(folder_, {echo_.port()});
    auto& echo = config.upstreams[0];
    config.engine.drain_timeout_ms = 200;  // what is in flight at the sink is not waited for
    echo.timeouts.connect_ms = 60'000;
    auto sink = echo;
    sink.name = "sink";
    sink.endpoints[0].port = sink_.port();
    sink.timeouts.request_ms = 1'000;  // a dead client's request goes on until its deadline
    auto hole = echo;
    hole.name = "hole";
    hole.endpoints[0].port = hole_.port();
    config.upstreams.push_back(sink);
    config.upstreams.push_back(hole);
    return config;
  }

  Residue residue_;
  TemporaryFolder folder_;
  host::HostProcess echo_;
  host::HostProcess sink_;
  BlackHole hole_;
  config::Config config_;
  EngineProcess engine_;
  std::unique_ptr<Requester> bystander_;
};

}  // namespace

TEST_CASE("faults.a client killed at any point leaves nothing in the engine") {
  Deathbed bed;
  const auto before = holdings(bed.engine(), bed.group());
  CHECK(before.memories == 1);
  for (const auto point :
       {Point::connected, Point::asked, Point::offered, Point::mapped, Point::acknowledged, Point::attached,
        Point::channel_asked, Point::channel_open, Point::reserved, Point::queued, Point::in_flight, Point::answered}) {
    CAPTURE(static_cast<int>(point));
    DoomedClient doomed(bed.config(), point);
    CHECK(bed.bystander().ask("while it lives").outcome == TMX_ANSWERED);
    doomed.kill();
    CHECK(bed.bystander().ask("after its death").outcome == TMX_ANSWERED);
    check_back_to(before, bed.engine(), bed.group());
  }
  const auto not_sent = [&](const char* upstream) {
    return count_of(upstream_facts(bed.group(), upstream).not_sent, shm::Reason::client_died);
  };
  const auto maybe_sent = [&](const char* upstream) {
    return count_of(upstream_facts(bed.group(), upstream).maybe_sent, shm::Reason::deadline);
  };
  await([&] { return not_sent("hole") == 1 && maybe_sent("sink") == 1; });
  CHECK(maybe_sent("hole") == 0);
  CHECK(not_sent("sink") == 0);
  CHECK(upstream_facts(bed.group(), "hole").queued == 0);
  // The log has one end for each, in the same words, and what they had open.
  auto& log = bed.engine().log();
  await([&] { return log.count("event=client_released") + 1 == log.count("event=client_attached"); });
  CHECK(log.count("event=client_died") == log.count("event=client_released"));
  CHECK(log.count("event=client_disconnected") == 0);
  CHECK(log.count(" in_flight=1 unseen=0") == 2);
  bed.stop();
  CHECK(log.count("event=client_disconnected") == 1);
}

TEST_CASE("faults.many clients killed in the middle of attaching") {
  Deathbed bed;
  const auto before = holdings(bed.engine(), bed.group());
  std::mt19937_64 random(seed());
  INFO("TLSMUX_SEED=", seed());
  for (int round = 0; round < 12; ++round) {
    std::vector<std::unique_ptr<ChildProcess>> clients;
    clients.reserve(8);
    for (int i = 0; i < 8; ++i) {
      clients.push_back(std::make_unique<ChildProcess>([&] {
        auto order = load_order(bed.config(), static_cast<std::uint32_t>(round * 8 + i));
        order.requests = 5;
        while (run_load(order).trouble == LoadTrouble::none) continue;
        return 1;
      }));
    }
    ::poll(nullptr, 0, static_cast<int>(random() % 30));
    for (auto& client : clients) {
      client->send_signal(SIGKILL);
      CHECK(client->wait() == 128 + SIGKILL);
    }
    CHECK(bed.bystander().ask("a request").outcome == TMX_ANSWERED);
  }
  check_back_to(before, bed.engine(), bed.group());
  bed.stop();
}

TEST_CASE("faults.a client that detaches in good order leaves nothing in the engine") {
  Deathbed bed;
  const auto before = holdings(bed.engine(), bed.group());
  for (int i = 0; i < 20; ++i) {
    Requester requester(bed.config());
    CHECK(requester.ask("a request").outcome == TMX_ANSWERED);
  }
  check_back_to(before, bed.engine(), bed.group());
  bed.stop();
}

TEST_CASE("faults.a client that stands still holds nobody up") {
  Deathbed bed;
  const StopSign stop;
  auto order = load_order(bed.config(), 1);
  order.stop = stop.descriptor();
  LoadProcess still(order);
  await([&] { return upstream_facts(bed.group(), "acquirer").answered > 100; });
  stop_process(still.pid());
  for (int i = 0; i < 50; ++i) CHECK(bed.bystander().ask("a request").outcome == TMX_ANSWERED);
  still.send_signal(SIGCONT);
  stop.raise();
  const auto report = still.report();
  CHECK_MESSAGE(report.answered == report.submitted, words_of(report));
  bed.stop();
}

}  // namespace tlsmux::test
