// One request per round: the client withdraws or lets it expire while the engine sends, answers, loses or refuses it,
// from one start line. Exactly one of the two may win, and what each believes afterwards must be the same.
#include <doctest/doctest.h>

#include <cstdio>
#include <utility>

#include "shm/layout.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kRounds = 1'000'000;
constexpr std::uint64_t kWrongEnough = 100;

// What one side believes at the end of a round.
struct Belief {
  bool won = false;   // this side moved the word to its end
  bool sent = false;  // the engine: its request went to the wire
  SlotState end = SlotState::free;
  std::uint32_t result_length = 0;  // the client: what it read beside the word
};

struct Totals {
  std::uint64_t rounds = 0;
  std::uint64_t wrong = 0;           // rounds with two winners or none, or with beliefs that differ
  std::uint64_t false_not_sent = 0;  // of these: the client said NOT_SENT and it was sent
  std::uint64_t client_won = 0;
};

Belief act_as_client(SlotControl& slot, std::uint64_t generation, test::Jitter& jitter) {
  Belief belief;
  const bool patient = jitter.next() % 4 == 0;  // waits until it is being sent, then lets it expire
  jitter.wait();
  if (!patient && slot.word.try_move(generation, SlotState::queued, SlotState::withdrawn)) {
    return {.won = true, .end = SlotState::withdrawn};
  }
  while (slot.word.load().state == SlotState::queued) shm::pause_processor();
  if (slot.word.try_move(generation, SlotState::sending, SlotState::expired)) {
    return {.won = true, .end = SlotState::expired};
  }
  belief.end = slot.word.load().state;
  belief.result_length = slot.result_length;
  return belief;
}

Belief act_as_engine(SlotControl& slot, std::uint64_t generation, test::Jitter& jitter) {
  constexpr std::pair<SlotState, SlotState> kEnds[] = {{SlotState::sending, SlotState::answered},
                                                       {SlotState::sending, SlotState::answered},
                                                       {SlotState::sending, SlotState::lost},
                                                       {SlotState::queued, SlotState::refused}};
  const auto [from, end] = kEnds[jitter.next() % 4];
  Belief belief;
  jitter.wait();
  // A descriptor left over from the slot's earlier use must not move it.
  if (slot.word.try_move(generation - 1, SlotState::queued, SlotState::sending)) belief.sent = true;
  if (from == SlotState::sending) {
    if (!slot.word.try_move(generation, SlotState::queued, SlotState::sending)) {
      belief.end = slot.word.load().state;
      return belief;
    }
    belief.sent = true;
    jitter.wait();
  }
  slot.result_length = static_cast<std::uint32_t>(generation);
  if (slot.word.try_move(generation, from, end)) {
    belief.won = true;
    belief.end = end;
  } else {
    belief.end = slot.word.load().state;
  }
  return belief;
}

bool agree(const Belief& client, const Belief& engine, SlotTruth truth, std::uint64_t generation) {
  if (client.won == engine.won) return false;
  if (truth != SlotTruth{.generation = generation, .state = client.end} || engine.end != client.end) return false;
  if (client.end == SlotState::withdrawn && engine.sent) return false;
  return client.won || client.result_length == static_cast<std::uint32_t>(generation);
}

Totals race() {
  SlotControl slot{};
  test::StartLine start_line;
  Belief client;
  Belief engine;
  Totals totals;
  const auto client_side = [&] {
    test::Jitter jitter(test::seed());
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      slot.word.start(round);
      start_line.meet(0, 2 * round);
      client = act_as_client(slot, round, jitter);
      start_line.meet(0, 2 * round + 1);
      totals.rounds = round;
      if (client.won) ++totals.client_won;
      if (!agree(client, engine, slot.word.load(), round)) ++totals.wrong;
      if (client.won && client.end == SlotState::withdrawn && engine.sent) ++totals.false_not_sent;
      if (totals.wrong >= kWrongEnough) break;
    }
    start_line.meet(0, 4 * kRounds);  // lets the engine out, wherever it is
  };
  const auto engine_side = [&] {
    test::Jitter jitter(test::seed() + 1);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      start_line.meet(1, 2 * round);
      if (slot.word.load().generation != round) break;
      engine = act_as_engine(slot, round, jitter);
      start_line.meet(1, 2 * round + 1);
    }
    start_line.meet(1, 4 * kRounds);
  };
  test::run_two_threads(client_side, engine_side);
  return totals;
}

void print(const Totals& totals) {
  std::printf("rounds %llu, won by the client %llu, wrong %llu, of these NOT_SENT though sent %llu\n",
              static_cast<unsigned long long>(totals.rounds), static_cast<unsigned long long>(totals.client_won),
              static_cast<unsigned long long>(totals.wrong), static_cast<unsigned long long>(totals.false_not_sent));
}

}  // namespace

#if !defined(TLSMUX_TEST_OF_MUTANT)

TEST_CASE("outcome.slot_word stress has one winner in each of a million races") {
  const auto totals = race();
  print(totals);
  CHECK(totals.rounds == kRounds);
  CHECK(totals.wrong == 0);
  // Else it raced for nothing.
  if (test::usable_cpus() > 1) {
    CHECK(totals.client_won > kRounds / 100);
    CHECK(totals.client_won < kRounds - kRounds / 100);
  }
}

#else

TEST_CASE("outcome.slot_word stress finds that a store replaced the compare-and-swap") {
  if (test::usable_cpus() < 2) {
    test::skip("one processor alone hardly ever changes threads between a read and the store after it");
    return;
  }
  const auto totals = race();
  print(totals);
  CHECK(totals.wrong >= kWrongEnough);
}

#endif
