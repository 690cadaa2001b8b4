// Threads of a client that take, and an engine that offers, looks and takes back: in the end each port that was offered
// has been taken by one of them or has come back, and not both.
#include <doctest/doctest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "ports/book/lease_table.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;

namespace {

using Numbers = std::vector<std::uint16_t>;

void append(Numbers& numbers, const std::vector<ports::Port>& more) {
  for (const auto port : more) numbers.push_back(port.number);
}

}  // namespace

TEST_CASE("ports.stress: a leased port is taken by one thread or comes back") {
  constexpr int kThreads = 3;
  constexpr std::uint16_t kFirst = 1000;
  constexpr std::uint32_t kRounds = 20;
  constexpr std::uint16_t kLast = 11'000;
  const auto words = std::make_unique<shm::PortLeases>();
  ports::LeaseTable table(*words);
  test::Jitter jitter(test::seed());
  INFO("TLSMUX_SEED=", test::seed());
  std::size_t returned_in_all = 0;
  std::size_t taken_in_all = 0;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    std::atomic<bool> ends = false;
    std::vector<Numbers> got(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        while (!ends) {
          if (const auto port = shm::take_lease(words->tcp)) {
            got[static_cast<std::size_t>(i)].push_back(*port);
          } else {
            ::sched_yield();
          }
        }
      });
    }
    Numbers taken;
    Numbers returned;
    bool is_rule_broken = false;
    const auto learn = [&](const ports::LeaseNews& news) {
      append(taken, news.taken);
      append(returned, news.returned);
      is_rule_broken = is_rule_broken || news.is_rule_broken;
    };
    for (std::uint16_t next = kFirst; next < kLast;) {
      while (next < kLast && table.offered(ports::Protocol::tcp) < 4) table.offer({ports::Protocol::tcp, next++});
      // Often enough the client's threads come in between, however few processors there are.
      jitter.next() % 4 == 0 ? static_cast<void>(::sched_yield()) : jitter.wait();
      learn(jitter.next() % 2 == 0 ? table.look()
                                   : table.take_back(ports::Protocol::tcp, jitter.next() % 3 == 0 ? 1 : 0));
    }
    learn(table.take_back(ports::Protocol::tcp));
    ends = true;
    for (auto& thread : threads) thread.join();

    Numbers owned;
    for (const auto& each : got) owned.insert(owned.end(), each.begin(), each.end());
    std::ranges::sort(owned);
    std::ranges::sort(taken);
    CHECK_FALSE(is_rule_broken);
    CHECK(std::ranges::adjacent_find(owned) == owned.end());
    CHECK(owned == taken);
    Numbers all = returned;
    all.insert(all.end(), owned.begin(), owned.end());
    std::ranges::sort(all);
    CHECK(std::ranges::adjacent_find(all) == all.end());
    CHECK(all.size() == kLast - kFirst);
    taken_in_all += taken.size();
    returned_in_all += returned.size();
  }
  CHECK(taken_in_all > 100);
  CHECK(returned_in_all > 100);
}
