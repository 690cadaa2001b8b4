// Whose request is next.
#include "engine/mux/fair_queue.hpp"

#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <random>
#include <vector>

#include "tests/support/seed.hpp"

using namespace tlsmux;
using engine::mux::FairQueue;
using engine::mux::kNone;
using engine::mux::RequestIndex;
using engine::mux::RequestState;
using engine::mux::RequestTable;

namespace {

struct Rig {
  RequestTable table{256, 0};
  FairQueue queue{3};

  RequestIndex add(std::uint32_t client, std::uint32_t group) {
    const auto index = table.allocate();
    REQUIRE(index != kNone);
    table[index].client = client;
    table[index].group = group;
    table[index].state = RequestState::queued;
    queue.push(table, index);
    return index;
  }
  void remove(RequestIndex index) {
    queue.remove(table, index);
    table.release(index);
  }
  void take_front() {
    const auto index = queue.front();
    queue.take(table, index);
    table.release(index);
  }
  // The clients of the next requests, which are taken out.
  std::vector<std::uint32_t> take(std::size_t count) {
    std::vector<std::uint32_t> clients;
    for (; count > 0; --count) {
      const auto index = queue.front();
      REQUIRE(index != kNone);
      clients.push_back(table[index].client);
      take_front();
    }
    return clients;
  }
};

}  // namespace

TEST_CASE("engine.queue takes more groups while requests wait") {
  Rig rig;
  for (int i = 0; i < 3; ++i) rig.add(1, 0);
  rig.queue.set_groups(100);
  for (int i = 0; i < 2; ++i) rig.add(2, 99);
  CHECK(rig.queue.size_of_group(99) == 2);
  CHECK(rig.take(5) == std::vector<std::uint32_t>{1, 2, 1, 2, 1});
}

TEST_CASE("engine.queue gives clients their turns, and keeps each one's order") {
  Rig rig;
  std::vector<RequestIndex> of_first;
  for (int i = 0; i < 5; ++i) of_first.push_back(rig.add(10, 0));
  for (int i = 0; i < 2; ++i) rig.add(11, 0);
  rig.add(12, 0);
  CHECK(rig.queue.front() == of_first[0]);
  CHECK(rig.take(3) == std::vector<std::uint32_t>{10, 11, 12});
  CHECK(rig.queue.front() == of_first[1]);
  CHECK(rig.take(5) == std::vector<std::uint32_t>{10, 11, 10, 10, 10});
  CHECK(rig.queue.empty());
  CHECK(rig.queue.front() == kNone);
}

TEST_CASE("engine.queue gives groups their turns, however many clients each has") {
  Rig rig;
  for (int i = 0; i < 3; ++i) {
    rig.add(1, 0);
    rig.add(2, 0);
  }
  for (int i = 0; i < 4; ++i) rig.add(3, 2);
  CHECK(rig.queue.size_of_group(0) == 6);
  CHECK(rig.queue.size_of_group(2) == 4);
  CHECK(rig.queue.size_of_client(3) == 4);
  CHECK(rig.queue.size_of_client(99) == 0);
  CHECK(rig.take(10) == std::vector<std::uint32_t>{1, 3, 2, 3, 1, 3, 2, 3, 1, 2});
}

TEST_CASE("engine.queue lets what comes back go first, in its order") {
  Rig rig;
  const auto a = rig.add(1, 0);
  const auto b = rig.add(1, 0);
  rig.add(2, 1);
  for (const auto index : {a, b}) rig.queue.remove(rig.table, index);
  for (const auto index : {b, a}) {  // from the last to the first
    rig.table[index].state = RequestState::requeued;
    rig.queue.give_back(rig.table, index);
  }
  CHECK(rig.queue.size() == 3);
  CHECK(rig.queue.size_of_client(1) == 0);
  CHECK(rig.queue.front() == a);
  rig.remove(a);
  CHECK(rig.queue.front() == b);
  rig.take_front();
  CHECK(rig.take(1) == std::vector<std::uint32_t>{2});
}

TEST_CASE("engine.queue holds together, whoever comes and goes, and nobody waits longer than a round") {
  std::mt19937_64 random(test::seed());
  constexpr std::uint32_t kClients = 9;  // client c is of group c % 3
  Rig rig;
  std::array<std::deque<RequestIndex>, kClients> waiting;
  std::array<std::uint32_t, kClients> passed_over{};
  std::size_t size = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto client = static_cast<std::uint32_t>(random() % kClients);
    auto& own = waiting[client];
    const auto action = random() % 5;
    if (action < 2 && size < 200) {
      own.push_back(rig.add(client, client % 3));
      ++size;
    } else if (action == 2 && !own.empty()) {
      const auto place = own.begin() + static_cast<std::ptrdiff_t>(random() % own.size());
      rig.remove(*place);
      own.erase(place);
      if (own.empty()) passed_over[client] = 0;  // it has left its place in the row
      --size;
    } else if (action > 2 && size > 0) {
      const auto index = rig.queue.front();
      const auto taken = rig.table[index].client;
      REQUIRE(index == waiting[taken].front());
      waiting[taken].pop_front();
      rig.take_front();
      --size;
      for (std::uint32_t i = 0; i < kClients; ++i) {
        passed_over[i] = i == taken || waiting[i].empty() ? 0 : passed_over[i] + 1;
        REQUIRE(passed_over[i] < kClients);  // 3 groups of 3 clients
      }
    }
    REQUIRE(rig.queue.size() == size);
    REQUIRE(rig.queue.size_of_client(client) == own.size());
  }
}
