#include "engine/mux/key_table.hpp"

#include <doctest/doctest.h>

#include <random>
#include <unordered_map>

#include "tests/support/seed.hpp"

using namespace tlsmux::engine::mux;
using tlsmux::engine::message::CorrelationKey;

namespace {

CorrelationKey key_of(std::uint32_t value) {
  CorrelationKey key;
  key.length = 4;
  for (std::size_t i = 0; i < 4; ++i) key.bytes[i] = std::byte(value >> (8 * i));
  return key;
}

// Keys out of a small range in a table that is as full as it may be, so that runs are long and wrap around.
void compare_with_map(std::uint32_t requests, std::uint32_t keys, std::uint64_t seed) {
  RequestTable table(requests, 0);
  for (std::uint32_t i = 0; i < requests; ++i) table.allocate();
  KeyTable places(table, requests, seed);
  std::unordered_map<std::uint32_t, RequestIndex> expected;
  std::vector<std::uint32_t> value_of(requests);
  std::vector<bool> is_in(requests);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto index = static_cast<RequestIndex>(random() % requests);
    if (is_in[index]) {
      places.remove(index);
      expected.erase(value_of[index]);
      is_in[index] = false;
    } else {
      value_of[index] = static_cast<std::uint32_t>(random() % keys);
      table[index].key = key_of(value_of[index]);
      const bool is_new = expected.try_emplace(value_of[index], index).second;
      REQUIRE(places.insert(index) == is_new);
      is_in[index] = is_new;
      if (!is_new) places.remove(index);  // another holds the key: nothing happens
    }
    const auto asked = static_cast<std::uint32_t>(random() % keys);
    const auto found = expected.find(asked);
    REQUIRE(places.find(key_of(asked)) == (found == expected.end() ? kNone : found->second));
  }
  for (const auto& [value, index] : expected) REQUIRE(places.find(key_of(value)) == index);
}

}  // namespace

TEST_CASE("correlation.key table refuses a key that is in flight") {
  RequestTable table(2, 0);
  const auto first = table.allocate();
  const auto second = table.allocate();
  table[first].key = table[second].key = key_of(5);
  KeyTable places(table, 2, 1);
  CHECK(places.insert(first));
  CHECK_FALSE(places.insert(second));
  places.remove(second);
  CHECK(places.find(key_of(5)) == first);
  places.remove(first);
  CHECK(places.find(key_of(5)) == kNone);
  CHECK(places.insert(second));
}

TEST_CASE("correlation.key table agrees with a map through random changes") {
  std::mt19937_64 random(tlsmux::test::seed());
  for (const std::uint32_t requests : {1U, 2U, 3U, 7U, 64U, 300U}) {
    for (const std::uint32_t spread : {1U, 2U, 10U}) compare_with_map(requests, requests * spread + 1, random());
  }
}
