// Who gets a notice, and what waits.
#include "engine/shard/subscriptions.hpp"

#include <doctest/doctest.h>

#include "config/limits.hpp"

using namespace tlsmux;
using engine::Lane;
using engine::Subscriber;
using engine::Subscriptions;
using engine::WaitingLine;

namespace {

constexpr Lane kLane{.group = 0, .upstream = 0};
constexpr Lane kOther{.group = 1, .upstream = 0};

Subscriber subscriber(std::uint32_t channel, std::uint32_t flags, Lane lane = kLane) {
  return {.channel = channel, .serial = 100 + channel, .lane = lane, .flags = flags, .lent = {}};
}

bool push(WaitingLine& line, std::uint64_t tag, std::uint64_t serial = 0, std::size_t bytes = 1) {
  return line.push({.serial = serial, .tag = tag, .notice = 0, .message = engine::tls::SecretBytes(bytes)});
}

}  // namespace

TEST_CASE("engine.subscriptions: the first in the order of opening that has room") {
  Subscriptions all;
  all.add(subscriber(1, shm::kSubscribeLate));
  all.add(subscriber(2, shm::kSubscribeLate | shm::kSubscribeOrphans));
  all.add(subscriber(3, shm::kSubscribeLate, kOther));
  CHECK(all.with_room(kLane, shm::kSubscribeLate) == nullptr);
  CHECK(all.has_any(kLane, shm::kSubscribeLate));
  CHECK_FALSE(all.has_any(kLane, shm::kSubscribeUnsolicited));
  all.find(3)->lent.push_back({});
  CHECK(all.with_room(kLane, shm::kSubscribeLate) == nullptr);
  all.find(2)->lent.push_back({});
  REQUIRE(all.with_room(kLane, shm::kSubscribeLate) != nullptr);
  CHECK(all.with_room(kLane, shm::kSubscribeLate)->channel == 2);
  all.find(1)->lent.push_back({});
  CHECK(all.with_room(kLane, shm::kSubscribeLate)->channel == 1);
  CHECK(all.with_room(kLane, shm::kSubscribeOrphans)->channel == 2);
  all.remove(1);
  CHECK(all.with_room(kLane, shm::kSubscribeLate)->channel == 2);
}

TEST_CASE("engine.subscriptions: another opening of the same channel is somebody else") {
  Subscriptions all;
  all.add(subscriber(1, shm::kLateAnswers));
  CHECK(all.find(1, 101) != nullptr);
  CHECK(all.find(1, 102) == nullptr);
  CHECK(all.find(2) == nullptr);
}

TEST_CASE("engine.subscriptions: late answers of its own make no subscriber") {
  Subscriptions all;
  all.add(subscriber(1, shm::kLateAnswers));
  CHECK(all.count(kLane) == 0);
  all.add(subscriber(2, shm::kLateAnswers | shm::kSubscribeOrphans));
  CHECK(all.count(kLane) == 1);
}

TEST_CASE("engine.subscriptions: a waiting line gives each its own, in order") {
  WaitingLine line;
  const auto one = subscriber(1, shm::kLateAnswers);
  REQUIRE(push(line, 10));
  REQUIRE(push(line, 11, one.serial));
  REQUIRE(push(line, 12, 999));
  REQUIRE(push(line, 13, one.serial));
  CHECK(line.pop_for(one, false)->tag == 11);
  CHECK(line.pop_for(one, true)->tag == 10);
  CHECK(line.pop_for(one, true)->tag == 13);
  CHECK_FALSE(line.pop_for(one, true).has_value());
  const auto rest = line.take_all(999);
  REQUIRE(rest.size() == 1);
  CHECK(rest[0].tag == 12);
  CHECK(line.empty());
}

TEST_CASE("engine.subscriptions: a waiting line is bounded by count and by bytes, but takes any first one") {
  WaitingLine line;
  for (std::uint32_t i = 0; i < config::kNoticesWaitingMax; ++i) REQUIRE(push(line, i));
  CHECK_FALSE(push(line, 0));
  static_cast<void>(line.take_all(0));
  CHECK(push(line, 1, 0, 2 * config::kNoticeBytesWaitingMax));
  CHECK_FALSE(push(line, 2));
  static_cast<void>(line.take_all(0));
  CHECK(push(line, 3, 0, config::kNoticeBytesWaitingMax - 1));
  CHECK(push(line, 4));
  CHECK_FALSE(push(line, 5));
}
