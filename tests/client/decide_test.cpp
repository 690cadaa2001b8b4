#include "client/decide.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

using namespace tlsmux;
using shm::Outcome;
using shm::Reason;
using shm::SlotState;

namespace {

constexpr std::uint32_t kSlotBytes = 128;

// A slot whose word is in `state`, as the engine would have left it.
struct Slot {
  explicit Slot(SlotState state, std::uint64_t generation = 7) {
    control.word.start(generation);
    if (state != SlotState::queued) control.word.try_move(generation, SlotState::queued, state);
    control.result_length = 40;
    control.result_reason = Reason::host_closed;
  }
  shm::SlotControl control{};
};

client::Verdict decide(Slot& slot) { return client::decide(slot.control, 7, Reason::engine_died, kSlotBytes); }

}  // namespace

TEST_CASE("outcome.a queued request was not sent and cannot be sent any more") {
  Slot slot(SlotState::queued);
  const auto verdict = decide(slot);
  CHECK(verdict.outcome == Outcome::not_sent);
  CHECK(verdict.reason == Reason::engine_died);
  CHECK(slot.control.word.load().state == SlotState::withdrawn);
  CHECK_FALSE(slot.control.word.try_move(7, SlotState::queued, SlotState::sending));
}

TEST_CASE("outcome.a request in sending may have been sent") {
  Slot slot(SlotState::sending);
  const auto verdict = decide(slot);
  CHECK(verdict.outcome == Outcome::maybe_sent);
  CHECK(verdict.reason == Reason::engine_died);
  CHECK(slot.control.word.load().state == SlotState::expired);
}

TEST_CASE("outcome.what the engine has decided stands") {
  Slot answered(SlotState::answered);
  const auto answer = decide(answered);
  CHECK(answer.outcome == Outcome::answered);
  CHECK(answer.length == 40);
  CHECK(answer.reason == Reason::none);
  Slot refused(SlotState::refused);
  const auto refusal = decide(refused);
  CHECK(refusal.outcome == Outcome::not_sent);
  CHECK(refusal.reason == Reason::host_closed);
  Slot lost(SlotState::lost);
  const auto loss = decide(lost);
  CHECK(loss.outcome == Outcome::maybe_sent);
  CHECK(loss.reason == Reason::host_closed);
}

TEST_CASE("outcome.why a request was ended here is written beside its word, and the engine's reason left alone") {
  for (const auto state : {SlotState::queued, SlotState::sending}) {
    for (const auto reason : {Reason::deadline, Reason::cancelled}) {
      Slot slot(state);
      CHECK(client::decide(slot.control, 7, reason, kSlotBytes).reason == reason);
      CHECK(slot.control.clients_reason == reason);
      CHECK(slot.control.result_reason == Reason::host_closed);
    }
  }
}

TEST_CASE("outcome.nonsense in a slot word is never taken for not sent") {
  Slot too_long(SlotState::answered);
  too_long.control.result_length = kSlotBytes + 1;
  CHECK(decide(too_long).outcome == Outcome::maybe_sent);
  Slot another_generation(SlotState::queued, 8);
  CHECK(decide(another_generation).outcome == Outcome::maybe_sent);
  Slot unknown_state(static_cast<SlotState>(200));
  CHECK(decide(unknown_state).outcome == Outcome::maybe_sent);
  Slot nobody_withdrew(SlotState::withdrawn);
  CHECK(decide(nobody_withdrew).outcome == Outcome::maybe_sent);
}

TEST_CASE("outcome.client and engine that decide at once agree") {
  // The engine seals and answers, the client's deadline passes: whoever is first, both must tell the same story.
  // Each round hands over twice, which on busy processors takes as long as the others' time slices.
  constexpr std::uint64_t kRoundsMax = 200'000;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  shm::SlotControl control{};
  std::atomic<std::uint64_t> round = 0;
  std::atomic<std::uint64_t> engine_done = 0;
  std::atomic<bool> sealed = false;
  std::atomic<bool> answered = false;
  std::jthread engine([&](const std::stop_token& told) {
    for (std::uint64_t generation = 1;; ++generation) {
      while (round.load() != generation) {
        if (told.stop_requested()) return;
        std::this_thread::yield();
      }
      sealed = control.word.try_move(generation, SlotState::queued, SlotState::sending);
      control.result_length = static_cast<std::uint32_t>(generation % kSlotBytes);
      answered = control.word.try_move(generation, SlotState::sending, SlotState::answered);
      engine_done = generation;
    }
  });
  std::array<std::uint64_t, 4> counts{};
  std::uint64_t contradictions = 0;
  std::uint64_t rounds = 0;
  while (rounds < kRoundsMax && (rounds == 0 || std::chrono::steady_clock::now() < until)) {
    const auto generation = ++rounds;
    control.word.start(generation);
    round = generation;
    for (std::uint64_t i = 0; i < generation % 64; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    const auto verdict = client::decide(control, generation, Reason::deadline, kSlotBytes);
    while (engine_done.load() != generation) std::this_thread::yield();
    ++counts[static_cast<std::size_t>(verdict.outcome)];
    const bool agree = verdict.outcome == Outcome::not_sent     ? !sealed
                       : verdict.outcome == Outcome::maybe_sent ? sealed && !answered
                                                                : answered && verdict.length == generation % kSlotBytes;
    contradictions += agree ? 0 : 1;
  }
  CHECK(contradictions == 0);
  CHECK(counts[1] + counts[2] + counts[3] == rounds);
}
