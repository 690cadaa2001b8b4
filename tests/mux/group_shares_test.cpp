// How many places each group may take.
#include "engine/mux/group_shares.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/seed.hpp"

using tlsmux::engine::mux::GroupShares;

namespace {

std::size_t take_all(GroupShares& shares, std::uint32_t group) {
  std::size_t taken = 0;
  for (; shares.may_take(group); ++taken) shares.take(group);
  return taken;
}

void give_back(GroupShares& shares, std::uint32_t group, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) shares.give_back(group);
}

}  // namespace

TEST_CASE("engine.group shares leave a single group all places") {
  GroupShares shares(7, 1);
  CHECK(take_all(shares, 0) == 7);
  shares.give_back(0);
  CHECK(take_all(shares, 0) == 1);
}

TEST_CASE("engine.group shares keep the parts of the others from a greedy group") {
  GroupShares shares(16, 2);  // 4 are guaranteed to each
  CHECK(take_all(shares, 0) == 12);
  CHECK(take_all(shares, 1) == 4);
  // What comes back is first the part of whoever lacks it.
  give_back(shares, 1, 2);
  CHECK_FALSE(shares.may_take(0));
  CHECK(take_all(shares, 1) == 2);
  give_back(shares, 0, 3);
  CHECK(take_all(shares, 1) == 3);
  give_back(shares, 0, 9);
  CHECK(take_all(shares, 0) == 9);
}

TEST_CASE("engine.group shares of a new group are there as soon as places come back") {
  GroupShares shares(16, 1);
  CHECK(take_all(shares, 0) == 16);
  shares.set_groups(2);
  CHECK_FALSE(shares.may_take(1));
  give_back(shares, 0, 4);
  CHECK_FALSE(shares.may_take(0));
  CHECK(take_all(shares, 1) == 4);
}

TEST_CASE("engine.group shares of a removed group go to the others") {
  GroupShares shares(16, 2);
  CHECK(take_all(shares, 1) == 12);
  shares.remove(1);
  CHECK(take_all(shares, 0) == 4);
  CHECK_FALSE(shares.may_take(1));
  give_back(shares, 1, 12);
  CHECK(take_all(shares, 0) == 12);
  give_back(shares, 0, 16);
  shares.remove(0);
  CHECK(take_all(shares, 0) == 16);
}

TEST_CASE("engine.group shares hold what they guarantee, whatever comes and goes") {
  std::mt19937_64 random(tlsmux::test::seed());
  for (int round = 0; round < 200; ++round) {
    const auto capacity = 1 + random() % 40;
    const auto groups = 1 + random() % 5;
    GroupShares shares(capacity, groups);
    std::vector<std::size_t> held(groups);
    const auto part = capacity / (2 * groups);
    for (int step = 0; step < 300; ++step) {
      const auto group = static_cast<std::uint32_t>(random() % groups);
      if (random() % 3 == 0) {
        if (held[group] == 0) continue;
        --held[group];
        shares.give_back(group);
      } else {
        const auto all = std::accumulate(held.begin(), held.end(), std::size_t{0});
        std::size_t lacking = 0;
        for (const auto each : held) lacking += part - std::min(part, each);
        const bool may_take = held[group] < part || all + lacking < capacity;
        REQUIRE(shares.may_take(group) == may_take);
        if (!may_take) continue;
        ++held[group];
        shares.take(group);
        REQUIRE(all < capacity);
      }
    }
  }
}
