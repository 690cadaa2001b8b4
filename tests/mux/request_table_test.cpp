#include "engine/mux/request_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "tests/support/seed.hpp"

using namespace tlsmux::engine::mux;

TEST_CASE("engine.request table hands out each place once and takes it back") {
  RequestTable table(3, 8);
  CHECK(table.capacity() == 3);
  std::set<RequestIndex> places;
  for (int i = 0; i < 3; ++i) places.insert(table.allocate());
  CHECK(places.size() == 3);
  CHECK(*places.rbegin() == 2);
  CHECK(table.in_use() == 3);
  CHECK(table.allocate() == kNone);

  table[1].state = RequestState::queued;
  table[1].caller.tag = 7;
  table.release(1);
  CHECK(table.in_use() == 2);
  CHECK(table.allocate() == 1);
  CHECK(table[1].caller.tag == 0);  // as new
  CHECK(table[1].state == RequestState::free);
}

TEST_CASE("engine.request table keeps the private bytes of each request apart") {
  RequestTable table(4, 5);
  for (RequestIndex i = 0; i < 4; ++i) {
    CHECK(table.prefix(i).size() == 5);
    std::ranges::fill(table.prefix(i), std::byte(i));
  }
  for (RequestIndex i = 0; i < 4; ++i) {
    CHECK(std::ranges::all_of(table.prefix(i), [&](std::byte byte) { return byte == std::byte(i); }));
  }
}

TEST_CASE("engine.request list keeps order through random changes") {
  constexpr std::size_t kRequests = 50;
  RequestTable table(kRequests, 0);
  for (std::size_t i = 0; i < kRequests; ++i) table.allocate();
  RequestList list;
  std::deque<RequestIndex> expected;
  std::mt19937_64 random(tlsmux::test::seed());

  const auto compare = [&] {
    REQUIRE(list.size() == expected.size());
    REQUIRE(list.empty() == expected.empty());
    REQUIRE(list.front() == (expected.empty() ? kNone : expected.front()));
    REQUIRE(list.back() == (expected.empty() ? kNone : expected.back()));
    auto index = list.front();
    for (const auto one : expected) {
      REQUIRE(index == one);
      index = table[index].next;
    }
    REQUIRE(index == kNone);
  };
  for (int i = 0; i < 5000; ++i) {
    const auto index = static_cast<RequestIndex>(random() % kRequests);
    const auto place = std::ranges::find(expected, index);
    if (place != expected.end()) {
      list.remove(table, index);
      expected.erase(place);
    } else if (random() % 2 == 0) {
      list.push_back(table, index);
      expected.push_back(index);
    } else {
      list.push_front(table, index);
      expected.push_front(index);
    }
    compare();
  }
}
