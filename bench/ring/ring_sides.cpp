#include "bench/ring/ring_sides.hpp"

#include <cstring>

#include "shm/assert.hpp"
#include "shm/doorbell.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::bench {

using shm::Outcome;
using shm::SlotState;

RingClient::RingClient(RingMemory& memory)
    : memory_(memory),
      requests_(&memory.channel.requests, memory.requests),
      completions_(&memory.channel.completions, memory.completions) {}

bool RingClient::submit() {
  ++generation_;
  write_request({.client = 1, .sequence = generation_}, std::span(memory_.request_slot).first(kRingMessageBytes));
  memory_.control.word.start(generation_);
  TMX_ASSERT(requests_.room().value_or(0) > 0);  // one at a time
  requests_.push({.tag = generation_,
                  .generation = generation_,
                  .length = kRingMessageBytes,
                  .operation = shm::Operation::request});
  requests_.publish();
  memory_.shard.ready.fetch_or(1, std::memory_order_release);
  return shm::must_ring(memory_.shard.engine_armed);
}

bool RingClient::has_answer() { return completions_.available().value_or(0) > 0; }

bool RingClient::take_answer() {
  const auto completion = completions_.take();
  completions_.release();
  std::array<std::byte, kRingMessageBytes> answer;
  std::memcpy(answer.data(), memory_.response_slot.data(), answer.size());
  return completion.tag == generation_ && completion.generation == generation_ &&
         completion.length == kRingMessageBytes &&
         is_answer_to({.client = 1, .sequence = generation_}, kRingMessageBytes, answer);
}

RingEngine::RingEngine(RingMemory& memory)
    : memory_(memory),
      requests_(&memory.channel.requests, memory.requests),
      completions_(&memory.channel.completions, memory.completions) {}

bool RingEngine::has_request() {
  if (memory_.shard.ready.load(std::memory_order_relaxed) == 0) return false;
  memory_.shard.ready.exchange(0, std::memory_order_acquire);
  return requests_.available().value_or(0) > 0;
}

bool RingEngine::answer() {
  const auto request = requests_.take();
  requests_.release();
  if (request.length > private_copy_.size()) return false;
  if (!memory_.control.word.try_move(request.generation, SlotState::queued, SlotState::sending)) return false;
  const auto message = std::span(private_copy_).first(request.length);
  shm::copy_bytes(message, std::span(memory_.request_slot).first(request.length));
  message[kKindOffset] = kAnswerKind;
  shm::copy_bytes(memory_.response_slot, message);
  memory_.control.result_length = request.length;
  if (!memory_.control.word.try_move(request.generation, SlotState::sending, SlotState::answered)) return false;
  TMX_ASSERT(completions_.room().value_or(0) > 0);
  completions_.push({.tag = request.tag,
                     .generation = request.generation,
                     .length = request.length,
                     .outcome = Outcome::answered,
                     .kind = shm::CompletionKind::outcome});
  completions_.publish();
  return shm::must_ring(memory_.channel.client_armed);
}

}  // namespace tlsmux::bench
