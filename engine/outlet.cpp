#include "engine/outlet.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::engine {

using shm::CompletionDescriptor;
using shm::CompletionKind;
using shm::Outcome;
using shm::SlotState;

bool Outlet::take(const mux::Caller& caller) {
  auto& channel = clients_->channel_of(caller.channel);
  if (channel.controls[caller.request_slot].word.try_move(caller.generation, SlotState::queued, SlotState::sending)) {
    return true;
  }
  decided_by_caller(caller);
  return false;
}

bool Outlet::still_wanted(const mux::Caller& caller) {
  const auto& channel = clients_->channel_of(caller.channel);
  return channel.controls[caller.request_slot].word.load() ==
         shm::SlotTruth{.generation = caller.generation, .state = SlotState::sending};
}

std::span<const std::byte> Outlet::message(const mux::Caller& caller, std::uint32_t length) {
  return clients_->channel_of(caller.channel).slot(caller.request_slot).first(length);
}

bool Outlet::answer(const mux::Caller& caller, std::span<const std::byte> message) {
  auto& channel = clients_->channel_of(caller.channel);
  TMX_ASSERT(message.size() <= channel.slot_bytes);  // config_check: message_bytes_max <= slot_bytes
  shm::copy_bytes(channel.slot(caller.response_slot), message);
  return settle(caller, SlotState::sending, SlotState::answered,
                {.length = static_cast<std::uint32_t>(message.size()),
                 .outcome = Outcome::answered,
                 .kind = CompletionKind::outcome});
}

bool Outlet::refuse(const mux::Caller& caller, shm::Reason reason) {
  const CompletionDescriptor result{.reason = reason, .outcome = Outcome::not_sent, .kind = CompletionKind::outcome};
  auto& word = clients_->channel_of(caller.channel).controls[caller.request_slot].word;
  const auto from = word.load().state == SlotState::sending ? SlotState::sending : SlotState::queued;
  return settle(caller, from, SlotState::refused, result);
}

bool Outlet::lose(const mux::Caller& caller, shm::Reason reason) {
  return settle(caller, SlotState::sending, SlotState::lost,
                {.reason = reason, .outcome = Outcome::maybe_sent, .kind = CompletionKind::outcome});
}

bool Outlet::settle(const mux::Caller& caller, SlotState from, SlotState to, const CompletionDescriptor& result) {
  auto& control = clients_->channel_of(caller.channel).controls[caller.request_slot];
  // Before the word, so that a client whose engine dies right after it still learns the outcome.
  std::atomic_ref(control.result_length).store(result.length, std::memory_order_relaxed);
  std::atomic_ref(control.result_reason).store(result.reason, std::memory_order_relaxed);
  if (!control.word.try_move(caller.generation, from, to)) return decided_by_caller(caller);
  push(caller, result);
  return true;
}

// The caller has ended the request itself: its slots go back without an outcome. Always false.
bool Outlet::decided_by_caller(const mux::Caller& caller) {
  const auto truth = clients_->channel_of(caller.channel).controls[caller.request_slot].word.load();
  const bool is_callers_end = truth.state == SlotState::withdrawn || truth.state == SlotState::expired;
  if (truth.generation != caller.generation || !is_callers_end) {
    report(caller.channel / config::kChannelsPerClientMax, "a slot word was overwritten while its request was open");
  }
  push(caller, {.kind = CompletionKind::returned});
  return false;
}

void Outlet::push(const mux::Caller& caller, const CompletionDescriptor& completion) {
  auto& client = clients_->client_of(caller.channel);
  auto& channel = clients_->channel_of(caller.channel);
  auto full = completion;
  full.tag = caller.tag;
  full.generation = caller.generation;
  full.request_slot = caller.request_slot;
  full.response_slot = caller.response_slot;
  // There is room: each request in flight holds two slots, and there are as many entries as slots. A client that gives
  // slots back before it has taken their completions overwrites only its own.
  channel.completions.push(full);
  channel.owners[caller.request_slot] = SlotOwner::client;
  channel.owners[caller.response_slot] = SlotOwner::client;
  channel.request_of_slot[caller.request_slot] = mux::kNone;
  --channel.in_flight;
  client.changed = true;
  if (!std::exchange(channel.has_completions, true)) touched_.push_back(caller.channel);
}

}  // namespace tlsmux::engine
