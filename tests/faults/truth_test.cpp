// That the checker of truth sees a lie.

#include "tests/faults/truth.hpp"

#include <doctest/doctest.h>

#include "tests/host/record.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint64_t kAnswered = 1;
constexpr std::uint64_t kNotSent = 2;
constexpr std::uint64_t kMaybeUnseen = 3;
constexpr std::uint64_t kMaybeSeen = 4;

std::string key_of(std::uint64_t tag) { return host::hex(keyed_message(tag, 16)); }

// What three kinds of outcomes and a host's record are when all of it is true.
struct Story {
  std::vector<Ended> all{
      {.tag = kAnswered, .outcome = TMX_ANSWERED, .reason = TMX_REASON_NONE, .answer = keyed_message(kAnswered)},
      {.tag = kNotSent, .outcome = TMX_NOT_SENT, .reason = TMX_REASON_DEADLINE, .answer = {}},
      {.tag = kMaybeUnseen, .outcome = TMX_MAYBE_SENT, .reason = TMX_REASON_DEADLINE, .answer = {}},
      {.tag = kMaybeSeen, .outcome = TMX_MAYBE_SENT, .reason = TMX_REASON_DEADLINE, .answer = {}}};
  std::map<std::string, Receipt> receipts;

  Story() {
    receive(kAnswered);
    receive(kMaybeSeen);
  }
  void receive(std::uint64_t tag) {
    auto& receipt = receipts[key_of(tag)];
    ++receipt.times;
    receipt.bytes = keyed_message(tag).size();
    receipt.hash = host::fnv1a64(keyed_message(tag));
  }
  Ended& ended(std::uint64_t tag) { return all[tag - 1]; }
  [[nodiscard]] std::vector<std::string> lies() const { return find_lies(all, receipts); }
};

void check_one_lie(const Story& story, const std::string& words) {
  const auto lies = story.lies();
  REQUIRE(lies.size() == 1);
  CHECK(lies[0] == words);
}

}  // namespace

TEST_CASE("faults.truth: what is true passes") { CHECK(Story().lies().empty()); }

TEST_CASE("faults.truth: ANSWERED, and no host has it") {
  Story story;
  story.receipts.erase(key_of(kAnswered));
  check_one_lie(story, "request 1 is ANSWERED, and no host has received it");
}

TEST_CASE("faults.truth: ANSWERED with what is not the answer to it") {
  Story story;
  SUBCASE("another's") { story.ended(kAnswered).answer = keyed_message(kMaybeSeen); }
  SUBCASE("cut") { story.ended(kAnswered).answer.pop_back(); }
  SUBCASE("empty") { story.ended(kAnswered).answer.clear(); }
  check_one_lie(story, "request 1 is ANSWERED with what is not the answer to it");
}

TEST_CASE("faults.truth: NOT_SENT, and a host has it") {
  Story story;
  story.receive(kNotSent);
  check_one_lie(story, "request 2 is NOT_SENT, and a host has received it");
}

TEST_CASE("faults.truth: a host has it twice") {
  for (const auto tag : {kAnswered, kMaybeSeen}) {
    Story story;
    story.receive(tag);
    check_one_lie(story, "request " + std::to_string(tag) + " was received 2 times");
  }
}

TEST_CASE("faults.truth: a host has another message than was written") {
  for (const auto tag : {kAnswered, kMaybeSeen}) {
    Story story;
    ++story.receipts[key_of(tag)].hash;
    check_one_lie(story, "request " + std::to_string(tag) + " was received as another message");
  }
}

TEST_CASE("faults.truth: two outcomes of one request, none, or one of a request that was never made") {
  Story story;
  SUBCASE("two") {
    story.all.push_back(story.ended(kMaybeSeen));
    CHECK(story.lies() == std::vector<std::string>{"request 4 has ended twice"});
  }
  SUBCASE("none") {
    story.all.erase(story.all.begin() + 1);
    CHECK(story.lies() == std::vector<std::string>{"request 4 was never made"});  // of three
  }
  SUBCASE("never made") {
    story.ended(kMaybeUnseen).tag = 9;
    CHECK(story.lies() == std::vector<std::string>{"request 9 was never made"});
  }
}

TEST_CASE("faults.truth: an outcome that does not exist") {
  Story story;
  story.ended(kMaybeUnseen).outcome = static_cast<tmx_outcome>(99);
  check_one_lie(story, "request 3 has no outcome that exists");
}

}  // namespace tlsmux::test
