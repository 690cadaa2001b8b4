// The judge of the other tests must itself be able to find somebody guilty.

#include <doctest/doctest.h>

#include "tests/system/ledger.hpp"

namespace tlsmux::test {
namespace {

std::size_t complaints(Fate fate, const Receipt& receipt) {
  const LedgerEntry entry{.sequence = 7, .client = 3, .bytes = 40, .hash = 99, .fate = fate};
  std::map<std::string, Receipt> receipts;
  if (receipt.times > 0) receipts[key_text(3, 7)] = receipt;
  return contradictions({entry}, receipts).size();
}

constexpr Receipt kNever{};
constexpr Receipt kOnce{.times = 1, .bytes = 40, .hash = 99};
constexpr Receipt kTwice{.times = 2, .bytes = 40, .hash = 99};
constexpr Receipt kAnother{.times = 1, .bytes = 40, .hash = 98};

}  // namespace

TEST_CASE("outcome.a ledger and a record that agree") {
  CHECK(complaints(Fate::answered, kOnce) == 0);
  CHECK(complaints(Fate::not_sent, kNever) == 0);
  CHECK(complaints(Fate::not_submitted, kNever) == 0);
  CHECK(complaints(Fate::maybe_sent, kNever) == 0);
  CHECK(complaints(Fate::maybe_sent, kOnce) == 0);
}

TEST_CASE("outcome.a ledger and a record that contradict each other") {
  CHECK(complaints(Fate::answered, kNever) == 1);
  CHECK(complaints(Fate::answered, kTwice) == 1);
  CHECK(complaints(Fate::answered, kAnother) == 1);
  CHECK(complaints(Fate::not_sent, kOnce) == 1);
  CHECK(complaints(Fate::not_submitted, kOnce) == 1);
  CHECK(complaints(Fate::maybe_sent, kTwice) == 1);
  CHECK(complaints(Fate::maybe_sent, kAnother) == 1);
}

TEST_CASE("outcome.a request that ended twice") {
  const LedgerEntry entry{.sequence = 7, .client = 3, .bytes = 40, .hash = 99, .fate = Fate::maybe_sent};
  CHECK(contradictions({entry, entry}, {}).size() == 1);
}

}  // namespace tlsmux::test
