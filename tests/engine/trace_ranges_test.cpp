#include "engine/shard/trace_ranges.hpp"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

using namespace tlsmux::engine;

namespace {

std::vector<TraceRange> packed(std::vector<TraceRange> ranges) {
  const auto result = pack(std::move(ranges));
  CHECK(is_sound(result));
  return {result.all().begin(), result.all().end()};
}

bool equal(const std::vector<TraceRange>& one, const std::vector<TraceRange>& other) {
  return std::ranges::equal(one, other,
                            [](const auto& a, const auto& b) { return a.first == b.first && a.last == b.last; });
}

}  // namespace

TEST_CASE("engine.trace ranges are ordered and those that touch are one") {
  CHECK(packed({}).empty());
  CHECK(equal(packed({{50, 60}, {1, 10}, {11, 20}, {22, 30}, {55, 57}}), {{1, 20}, {22, 30}, {50, 60}}));
  CHECK(equal(packed({{0, ~0U}, {3, 5}}), {{0, ~0U}}));
}

TEST_CASE("engine.too many trace ranges lose their smallest gaps and no number") {
  std::vector<TraceRange> ranges;
  std::set<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < 100; ++i) {
    ranges.push_back({i * 1000, i * 1000 + 10 * i});  // the gaps shrink
    for (auto number = ranges.back().first; number <= ranges.back().last; ++number) numbers.insert(number);
  }
  const auto few = packed(ranges);
  CHECK(few.size() <= kTraceRangesMax);
  CHECK(few.size() >= kTraceRangesMax - 1);
  CHECK(few.front().last == 0);  // the widest gaps are left
  for (const auto& range : few) std::erase_if(numbers, [&](auto n) { return n >= range.first && n <= range.last; });
  CHECK(numbers.empty());
  // Gaps of one width all go.
  ranges.clear();
  for (std::uint32_t i = 0; i < 100; ++i) ranges.push_back({i * 10, i * 10});
  CHECK(packed(ranges).size() == 1);
}

TEST_CASE("hostile.trace ranges of a packet are looked at before they are believed") {
  auto ranges = pack({{1, 2}});
  ranges.count = kTraceRangesMax + 1;
  CHECK_FALSE(is_sound(ranges));
  ranges.count = 1;
  ranges.ranges[0] = {.first = 3, .last = 2};
  CHECK_FALSE(is_sound(ranges));
}
