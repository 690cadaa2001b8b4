#include "client/decide.hpp"

#include <atomic>

namespace tlsmux::client {

using shm::Outcome;
using shm::Reason;
using shm::SlotState;

namespace {

Verdict refusal(shm::SlotControl& control, Reason reason) {
  Verdict verdict{.outcome = Outcome::not_sent, .reason = reason};
  if (reason != Reason::unparsable) return verdict;
  verdict.error_offset = std::atomic_ref(control.result_error_offset).load(std::memory_order_relaxed);
  verdict.error_field = std::atomic_ref(control.result_error_field).load(std::memory_order_relaxed);
  return verdict;
}

}  // namespace

Verdict decide(shm::SlotControl& control, std::uint64_t generation, Reason reason, std::uint32_t slot_bytes) {
  // Before the word, so that whoever finds it moved finds the reason, too.
  std::atomic_ref(control.clients_reason).store(reason, std::memory_order_relaxed);
  // In the order of the states: a word that has left QUEUED for SENDING in between is caught by the second swap.
  if (control.word.try_move(generation, SlotState::queued, SlotState::withdrawn)) {
    return {.outcome = Outcome::not_sent, .reason = reason};
  }
  if (control.word.try_move(generation, SlotState::sending, SlotState::expired)) {
    return {.outcome = Outcome::maybe_sent, .reason = reason};
  }
  const Verdict unknown{.outcome = Outcome::maybe_sent, .reason = reason};
  const auto truth = control.word.load();
  if (truth.generation != generation) return unknown;
  const auto length = std::atomic_ref(control.result_length).load(std::memory_order_relaxed);
  const auto result = std::atomic_ref(control.result_reason).load(std::memory_order_relaxed);
  switch (truth.state) {
    case SlotState::answered:
      return length <= slot_bytes ? Verdict{.outcome = Outcome::answered, .length = length} : unknown;
    case SlotState::refused: return refusal(control, result);
    case SlotState::lost: return {.outcome = Outcome::maybe_sent, .reason = result};
    default: return unknown;
  }
}

}  // namespace tlsmux::client
