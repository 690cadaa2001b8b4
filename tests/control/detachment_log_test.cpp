#include "engine/control/detachment_log.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace tlsmux::engine::control;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr DetachmentLog::Clock::time_point kNow{std::chrono::hours(1)};

int passed(DetachmentLog& log, const std::string& group, const std::string& reason, int times) {
  int count = 0;
  for (int i = 0; i < times; ++i) count += log.pass(group, reason, kNow + milliseconds(i)) ? 1 : 0;
  return count;
}

std::uint64_t lines_of(const std::vector<DetachmentLog::LeftOut>& all, std::string_view group,
                       std::string_view reason) {
  std::uint64_t sum = 0;
  for (const auto& left_out : all) sum += left_out.group == group && left_out.reason == reason ? left_out.lines : 0;
  return sum;
}

}  // namespace

TEST_CASE("engine.detachments are logged one by one while they are few") {
  DetachmentLog log;
  for (int i = 0; i < 1'000; ++i) CHECK(log.pass("A", "it offended", kNow + milliseconds(100) * i));
  CHECK(log.pass_other("A"));
  CHECK(!log.next_deadline());
  CHECK(log.take_left_out(kNow + std::chrono::hours(1)).empty());
}

TEST_CASE("engine.detachments in a storm are counted by group and reason, and told when the second is over") {
  DetachmentLog log;
  CHECK(passed(log, "A", "it offended", 900) == Throttle::kPerSecondMax);
  CHECK(passed(log, "A", "it lied", 100) == 1);                           // each reason shows
  CHECK(passed(log, "B", "it offended", 11) == Throttle::kPerSecondMax);  // whatever happens to others
  REQUIRE(log.next_deadline() == kNow + seconds(1));
  CHECK(log.take_left_out(kNow + milliseconds(999)).empty());
  const auto left_out = log.take_left_out(kNow + seconds(1));
  CHECK(left_out.size() == 3);
  CHECK(lines_of(left_out, "A", "it offended") == 890);
  CHECK(lines_of(left_out, "A", "it lied") == 99);
  CHECK(lines_of(left_out, "B", "it offended") == 1);
  CHECK(!log.next_deadline());
  CHECK(log.pass("A", "it offended", kNow + seconds(1)));
}

TEST_CASE("engine.detachments that nobody has taken are not forgotten when the next second begins") {
  DetachmentLog log;
  passed(log, "A", "it offended", 15);
  CHECK(log.pass("A", "it offended", kNow + seconds(2)));
  REQUIRE(log.next_deadline());
  CHECK(*log.next_deadline() <= kNow + seconds(2));
  CHECK(lines_of(log.take_left_out(kNow + seconds(2)), "A", "it offended") == 5);
}

TEST_CASE("engine.detachments that are left out take the group's other lines with them") {
  DetachmentLog log;
  passed(log, "A", "it offended", 10);
  CHECK(log.pass_other("A"));
  CHECK(!log.pass("A", "it offended", kNow));
  CHECK(!log.pass_other("A"));
  CHECK(!log.pass_other("A"));
  CHECK(log.pass_other("B"));
  const auto left_out = log.take_left_out(kNow + seconds(1));
  CHECK(lines_of(left_out, "A", "") == 2);
  CHECK(lines_of(left_out, "A", "it offended") == 1);
  CHECK(log.pass_other("A"));
}

TEST_CASE("engine.detachments for ever new reasons make no more lines than a bound") {
  DetachmentLog log;
  int lines = 0;
  for (int i = 0; i < 1'000; ++i) lines += log.pass("A", "protocol " + std::to_string(i), kNow) ? 1 : 0;
  CHECK(lines == DetachmentLog::kReasonsMax);
  const auto left_out = log.take_left_out(kNow + seconds(1));
  CHECK(left_out.size() == 1);
  CHECK(lines_of(left_out, "A", DetachmentLog::kOtherReasons) == 1'000 - DetachmentLog::kReasonsMax);
}
