// Two hundred processes of two groups take ports and are killed at random moments, some with a child that goes on with
// their sockets; engine and broker are killed in between. No port ever has two owners, and in the end all are free. With
// reservation and guard in place, strangers who try all the while get none of them.
//
// TLSMUX_SEED repeats the sequence of deaths; their moments depend on the machine.

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/faults/port_holder.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_stranger.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kAtOnce = 20;
constexpr std::uint32_t kProcesses = 200;
constexpr std::size_t kHeirsMax = 6;

class Mortality {
 public:
  explicit Mortality(PortScene::Level level) : is_guarded_(level == PortScene::Level::guard), scene_(level) {
    if (is_guarded_) make_strangers();
    for (std::size_t slot = 0; slot < kAtOnce; ++slot) holders_.push_back(next(slot));
  }

  void run() {
    while (made_ < kProcesses) {
      // The living do something between two deaths.
      const auto goal = log_.count() + 1 + random_() % 8;
      const bool is_alive = eventually([&] { return log_.count() >= goal; });
      REQUIRE_MESSAGE(is_alive, "no process does anything; the log ends:\n", scene_.engine().log().last_lines());
      kill_one();
      strangers_go_on();
      if (made_ == kProcesses / 4 || made_ == kProcesses * 3 / 4) scene_.engine().kill_engine();
      if (made_ == kProcesses / 2) kill_broker();
      if (made_ % 20 == 0) check_kernel();
    }
  }

  // All stand still: what the kernel, the tables and the processes say must agree.
  void compare() {
    for (auto& holder : holders_) holder->freeze();
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& group = scene_.config.groups[i].name;
      CAPTURE(i);
      await([&] { return differences(group, sockets_of(i)).empty(); });
      CHECK(differences(group, sockets_of(i)) == "");
    }
    check_kernel();
  }

  void end() {
    for (auto& holder : holders_) {
      const auto heir = holder->kill();
      if (heir > 0) heirs_.emplace_back(std::move(holder), heir);
    }
    while (!heirs_.empty()) end_heir(heirs_.size() - 1);
    for (const auto* group : {&scene_.first(), &scene_.second()}) {
      await([&] { return port_facts(*group).empty(); });
      CHECK(words_of(port_facts(*group)) == "");
      const auto summary = port_summary(*group);
      CHECK(summary.dynamic_free == summary.dynamic_ports);
    }
    for (std::size_t i = 0; i < 2; ++i) CHECK(sockets_of(i).empty());
    MESSAGE(log_.binds(), " binds");
    CHECK(log_.binds() > kProcesses);
    std::size_t told = 0;
    for (const auto& words : log_.contradictions()) {
      if (++told <= 20) FAIL_CHECK(words);
    }
    for (const auto& stranger : strangers_) {
      CHECK(stranger->tries() > kProcesses);
      for (const auto& words : stranger->complaints()) FAIL_CHECK(words);
    }
    strangers_.clear();
    scene_.stop();
  }

 private:
  using Sockets = std::map<ports::Port, std::set<std::uint64_t>>;

  // The kernel has the groups' dynamic ports among those it could choose, and others for each of these.
  void make_strangers() {
    scene_.network().set_sysctl("net/ipv4/ip_local_port_range", "11900 13149");
    auto all = scene_.ports_of(0);
    all |= scene_.ports_of(1);
    for (const auto& [who, others] :
         {std::pair{kOutsider, all}, std::pair{kRoot, all}, std::pair{kSecondUser, scene_.ports_of(0)},
          std::pair{kFirstUser, scene_.ports_of(1)}}) {
      strangers_.push_back(std::make_unique<PortStranger>(scene_, who, others));
    }
  }
  void strangers_go_on() {
    for (const auto& stranger : strangers_) stranger->goes_on();
  }

  std::unique_ptr<PortHolder> next(std::size_t slot) {
    const bool is_first = slot % 2 == 0;
    const std::vector<Identity> members{kFirstUser, kFirstByGid, kFirstBySupplement};
    const auto& who = is_first ? members[random_() % members.size()] : kSecondUser;
    return std::make_unique<PortHolder>(
        scene_, log_,
        HolderPlan{.number = ++made_,
                   .seed = random_(),
                   .who = who,
                   .service = is_first ? scene_.first() : scene_.second(),
                   .own_label = "slot" + std::to_string(slot),
                   .static_label = is_first ? "first" : "second",
                   .actions_before_heir = random_() % 3 == 0 ? static_cast<std::uint32_t>(1 + random_() % 40) : 0,
                   .must_be_admitted = is_guarded_ && who.uid == kFirstBySupplement.uid});
  }

  void kill_one() {
    const auto slot = random_() % holders_.size();
    const auto heir = holders_[slot]->kill();
    if (heir > 0) heirs_.emplace_back(std::move(holders_[slot]), heir);
    if (heirs_.size() > kHeirsMax || (!heirs_.empty() && random_() % 8 == 0)) end_heir(random_() % heirs_.size());
    holders_[slot] = next(slot);
  }

  void end_heir(std::size_t number) {
    const auto one = heirs_.begin() + static_cast<std::ptrdiff_t>(number);
    one->first->end_heir(one->second);
    heirs_.erase(one);
  }

  void kill_broker() {
    CHECK(scene_.engine().kill_broker() == 0);
    strangers_go_on();
    scene_.start_engine();
  }

  // By port, of one group.
  Sockets sockets_of(std::size_t group) {
    Sockets sockets;
    const auto ports = scene_.ports_of(group);
    for (const auto protocol : ports::kProtocols) {
      for (const auto& fact : scene_.sockets(protocol, ports)) sockets[fact.port].insert(fact.inode);
    }
    return sockets;
  }

  // No two sockets have a port, whoever thinks what. Looked at twice, since the kernel's list takes time to write.
  void check_kernel() {
    for (std::size_t i = 0; i < 2; ++i) {
      auto doubled = sockets_of(i);
      std::erase_if(doubled, [](const auto& one) { return one.second.size() < 2; });
      if (doubled.empty()) continue;
      const auto again = sockets_of(i);
      for (const auto& [port, inodes] : doubled) {
        const auto found = again.find(port);
        CHECK_MESSAGE((found == again.end() || found->second != inodes), "two sockets on port ", port.number);
      }
    }
  }

  // In words, where a group's table does not say what the kernel does.
  static std::string differences(const std::string& group, const Sockets& sockets) {
    std::string words;
    std::map<ports::Port, PortFacts> rows;
    for (const auto& facts : port_facts(group)) rows.emplace(facts.port, facts);
    for (const auto& [port, inodes] : sockets) {
      const auto row = rows.find(port);
      const bool is_said =
          row != rows.end() && row->second.state == shm::PortState::bound && inodes.contains(row->second.socket_inode);
      if (!is_said) words += "not said to be bound: " + std::to_string(port.number) + "\n";
    }
    for (const auto& [port, facts] : rows) {
      const bool is_held = facts.state == shm::PortState::bound || facts.state == shm::PortState::orphan ||
                           facts.state == shm::PortState::external;
      if (is_held && !sockets.contains(port)) words += "said to be held: " + words_of({facts});
    }
    return words;
  }

  bool is_guarded_;
  std::mt19937_64 random_{seed()};
  PortScene scene_;
  ClaimLog log_;
  std::vector<std::unique_ptr<PortStranger>> strangers_;
  std::uint32_t made_ = 0;
  std::vector<std::unique_ptr<PortHolder>> holders_;
  std::vector<std::pair<std::unique_ptr<PortHolder>, pid_t>> heirs_;
};

void live_and_die(PortScene::Level level) {
  INFO("TLSMUX_SEED=", seed());
  Mortality mortality(level);
  mortality.run();
  mortality.compare();
  mortality.end();
}

}  // namespace

TEST_CASE(
    "ports.200 processes of two groups die at random, engine and broker too: no port has two owners, none is lost") {
  if (skip_without_network_namespaces()) return;
  live_and_die(PortScene::Level::interface);
}

TEST_CASE("ports.200 processes of two guarded groups die at random, engine and broker too: no stranger gets a port") {
  if (skip_without_guard()) return;
  live_and_die(PortScene::Level::guard);
}

}  // namespace tlsmux::test
