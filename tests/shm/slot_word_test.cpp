#include "shm/slot_word.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace tlsmux::shm;

namespace {

constexpr std::array kStates = {SlotState::free,      SlotState::queued,  SlotState::sending, SlotState::answered,
                                SlotState::withdrawn, SlotState::expired, SlotState::refused, SlotState::lost};

}  // namespace

TEST_CASE("outcome.slot_word holds generation and state in one word") {
  for (const auto generation :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{256}, kGenerationMax}) {
    for (const auto state : kStates) {
      CAPTURE(generation);
      const SlotTruth truth{.generation = generation, .state = state};
      CHECK(unpack(pack(truth)) == truth);
    }
  }
  CHECK(pack({.generation = 0x123456789abcde, .state = SlotState::expired}) == 0x123456789abcde05);
}

TEST_CASE("outcome.slot_word moves only from the state and the generation that are named") {
  constexpr std::uint64_t kGeneration = 77;
  for (const auto from : kStates) {
    if (from == SlotState::queued) continue;
    SlotWord word{};
    word.start(kGeneration);
    CHECK(!word.try_move(kGeneration, from, SlotState::lost));
    CHECK(!word.try_move(kGeneration - 1, SlotState::queued, SlotState::sending));
    CHECK(!word.try_move(kGeneration + 1, SlotState::queued, SlotState::sending));
    CHECK(word.load() == SlotTruth{kGeneration, SlotState::queued});
  }
}

TEST_CASE("outcome.slot_word takes one way to one end") {
  using enum SlotState;
  const std::array<std::array<SlotState, 2>, 3> sent = {{{sending, answered}, {sending, lost}, {sending, expired}}};
  for (const auto& [middle, end] : sent) {
    SlotWord word{};
    word.start(5);
    CHECK(word.try_move(5, queued, middle));
    CHECK(!word.try_move(5, queued, withdrawn));
    CHECK(word.try_move(5, middle, end));
    for (const auto other : kStates) CHECK(!word.try_move(5, sending, other));
    CHECK(word.load() == SlotTruth{5, end});
  }
  for (const auto end : {withdrawn, refused}) {
    SlotWord word{};
    word.start(5);
    CHECK(word.try_move(5, queued, end));
    CHECK(!word.try_move(5, queued, sending));
    CHECK(word.load() == SlotTruth{5, end});
  }
}

TEST_CASE("outcome.slot_word of a reused slot ignores whoever still means its earlier use") {
  SlotWord word{};
  word.start(1);
  CHECK(word.try_move(1, SlotState::queued, SlotState::withdrawn));
  word.start(2);
  CHECK(!word.try_move(1, SlotState::queued, SlotState::sending));
  CHECK(!word.try_move(1, SlotState::withdrawn, SlotState::free));
  CHECK(word.load() == SlotTruth{2, SlotState::queued});
}
