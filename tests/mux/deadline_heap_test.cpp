#include "engine/mux/deadline_heap.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "tests/support/seed.hpp"

using namespace tlsmux::engine::mux;

namespace {

RequestTable full_table(std::size_t capacity) {
  RequestTable table(capacity, 0);
  for (std::size_t i = 0; i < capacity; ++i) table.allocate();
  return table;
}

}  // namespace

TEST_CASE("engine.deadline heap gives the earliest first") {
  auto table = full_table(4);
  DeadlineHeap heap(table);
  CHECK(heap.earliest() == kNone);
  const std::uint64_t deadlines[] = {30, 10, 40, 20};
  for (RequestIndex i = 0; i < 4; ++i) {
    table[i].deadline_ns = deadlines[i];
    heap.insert(i);
  }
  for (const RequestIndex expected : {1U, 3U, 0U, 2U}) {
    CHECK(heap.earliest() == expected);
    heap.remove(heap.earliest());
    CHECK(table[expected].heap_position == kNone);
  }
  CHECK(heap.earliest() == kNone);
}

TEST_CASE("engine.deadline heap agrees with an ordered map through random changes") {
  constexpr RequestIndex kRequests = 200;
  auto table = full_table(kRequests);
  DeadlineHeap heap(table);
  std::multimap<std::uint64_t, RequestIndex> expected;
  std::mt19937_64 random(tlsmux::test::seed());
  for (int i = 0; i < 50'000; ++i) {
    const auto index = static_cast<RequestIndex>(random() % kRequests);
    auto& request = table[index];
    if (request.heap_position == kNone) {
      request.deadline_ns = random() % 100;  // many are equal
      heap.insert(index);
      expected.emplace(request.deadline_ns, index);
    } else {
      heap.remove(index);
      const auto [begin, end] = expected.equal_range(request.deadline_ns);
      for (auto one = begin; one != end; ++one) {
        if (one->second != index) continue;
        expected.erase(one);
        break;
      }
    }
    if (expected.empty()) {
      REQUIRE(heap.earliest() == kNone);
    } else {
      REQUIRE(table[heap.earliest()].deadline_ns == expected.begin()->first);
    }
  }
}
