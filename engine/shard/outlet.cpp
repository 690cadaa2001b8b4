#include "engine/shard/outlet.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine {

using shm::CompletionDescriptor;
using shm::CompletionKind;
using shm::Outcome;
using shm::SlotState;

bool Outlet::take(const mux::Caller& caller) {
  TMX_ASSERT(!mux::is_orphan(caller));  // one that waits ends when its process dies
  auto& channel = clients_->channel_of(caller.channel);
  if (channel.controls[caller.request_slot].word.try_move(caller.generation, SlotState::queued, SlotState::sending)) {
    return true;
  }
  if (TMX_HAS_BUG(send_withdrawn)) return true;
  return decided_by_caller(caller, false);
}

bool Outlet::still_wanted(const mux::Caller& caller) {
  if (mux::is_orphan(caller)) return false;
  const auto& channel = clients_->channel_of(caller.channel);
  return channel.controls[caller.request_slot].word.load() ==
         shm::SlotTruth{.generation = caller.generation, .state = SlotState::sending};
}

std::span<const std::byte> Outlet::message(const mux::Caller& caller, std::uint32_t length) {
  return clients_->channel_of(caller.channel).slot(caller.request_slot).first(length);
}

bool Outlet::answer(const mux::Caller& caller, std::span<const std::byte> message) {
  if (mux::is_orphan(caller)) {
    orphans_->answer(caller.generation, message);
    return true;
  }
  auto& channel = clients_->channel_of(caller.channel);
  TMX_ASSERT(message.size() <= channel.slot_bytes);  // message_bytes_max <= slot_bytes: Shard::open_channel
  const auto copied = TMX_HAS_BUG(answer_half) ? message.size() / 2 : message.size();
  shm::copy_bytes(channel.slot(caller.response_slot), message.first(copied));
  return settle(caller, SlotState::sending, SlotState::answered,
                {.length = static_cast<std::uint32_t>(message.size()),
                 .outcome = Outcome::answered,
                 .kind = CompletionKind::outcome});
}

bool Outlet::refuse(const mux::Caller& caller, const mux::Refusal& refusal) {
  if (mux::is_orphan(caller)) {
    orphans_->refuse(caller.generation, refusal);
    return true;
  }
  CompletionDescriptor result{.reason = refusal.reason, .outcome = Outcome::not_sent, .kind = CompletionKind::outcome};
  result.error_field = refusal.error_field;
  result.error_offset = refusal.error_offset;
  auto& word = clients_->channel_of(caller.channel).controls[caller.request_slot].word;
  const auto from = word.load().state == SlotState::sending ? SlotState::sending : SlotState::queued;
  return settle(caller, from, SlotState::refused, result);
}

bool Outlet::lose(const mux::Caller& caller, shm::Reason reason) {
  if (mux::is_orphan(caller)) {
    orphans_->lose(caller.generation, reason);
    return true;
  }
  return settle(caller, SlotState::sending, SlotState::lost,
                {.reason = reason, .outcome = Outcome::maybe_sent, .kind = CompletionKind::outcome});
}

// The client's word, and worth no more: it is counted, and told to its own group.
shm::Reason Outlet::own_reason(const mux::Caller& caller) {
  auto& control = clients_->channel_of(caller.channel).controls[caller.request_slot];
  const auto reason = std::atomic_ref(control.clients_reason).load(std::memory_order_relaxed);
  return reason == shm::Reason::deadline ? reason : shm::Reason::cancelled;
}

bool Outlet::settle(const mux::Caller& caller, SlotState from, SlotState to, const CompletionDescriptor& result) {
  auto& control = clients_->channel_of(caller.channel).controls[caller.request_slot];
  // Before the word, so that a client whose engine dies right after it still learns the outcome.
  std::atomic_ref(control.result_length).store(result.length, std::memory_order_relaxed);
  std::atomic_ref(control.result_reason).store(result.reason, std::memory_order_relaxed);
  std::atomic_ref(control.result_error_field).store(result.error_field, std::memory_order_relaxed);
  std::atomic_ref(control.result_error_offset).store(result.error_offset, std::memory_order_relaxed);
  if (!control.word.try_move(caller.generation, from, to)) {
    return decided_by_caller(caller, to != SlotState::refused);
  }
  give_back(caller, result);
  return true;
}

// The caller has ended the request itself: its slots go back. The outcome that goes with them is not for the caller but
// for its group, should it die before its application has seen its own. Always false.
bool Outlet::decided_by_caller(const mux::Caller& caller, bool was_sent) {
  const auto truth = clients_->channel_of(caller.channel).controls[caller.request_slot].word.load();
  const bool is_callers_end = truth.state == SlotState::withdrawn || truth.state == SlotState::expired;
  if (truth.generation != caller.generation || !is_callers_end) {
    report(caller.channel / config::kChannelsPerClientMax, "a slot word was overwritten while its request was open");
  }
  const bool is_not_sent = !was_sent && truth.state == SlotState::withdrawn;
  give_back(caller, {.reason = own_reason(caller),
                     .outcome = is_not_sent ? Outcome::not_sent : Outcome::maybe_sent,
                     .kind = CompletionKind::returned});
  return false;
}

void Outlet::give_back(const mux::Caller& caller, const CompletionDescriptor& completion) {
  auto& channel = clients_->channel_of(caller.channel);
  auto full = completion;
  full.tag = caller.tag;
  full.generation = caller.generation;
  full.request_slot = caller.request_slot;
  full.response_slot = caller.response_slot;
  push(caller.channel, full);
  channel.request_of_slot[caller.request_slot] = mux::kNone;
  --channel.in_flight;
}

void Outlet::deliver(std::uint32_t channel_ref, const LentPair& pair, const CompletionDescriptor& notice,
                     std::span<const std::byte> request, std::span<const std::byte> message) {
  auto& channel = clients_->channel_of(channel_ref);
  // message_bytes_max <= slot_bytes: Shard::open_channel
  TMX_ASSERT(request.size() <= channel.slot_bytes && message.size() <= channel.slot_bytes);
  shm::copy_bytes(channel.slot(pair.request_slot), request);
  shm::copy_bytes(channel.slot(pair.response_slot), message);
  auto full = notice;
  full.kind = CompletionKind::notice;
  full.generation = pair.generation;
  full.request_slot = pair.request_slot;
  full.response_slot = pair.response_slot;
  full.length = static_cast<std::uint32_t>(message.size());
  full.request_length = static_cast<std::uint32_t>(request.size());
  // Whether the word still says QUEUED is the client's affair: it has lent the pair, and nothing depends on it.
  channel.controls[pair.request_slot].word.try_move(pair.generation, SlotState::queued, SlotState::answered);
  push(channel_ref, full);
}

void Outlet::push(std::uint32_t channel_ref, const CompletionDescriptor& completion) {
  auto& channel = clients_->channel_of(channel_ref);
  // There is room: each request in flight and each lent pair holds two slots, and there are as many entries as slots. A
  // client that gives slots back before it has taken their completions overwrites only its own.
  channel.completions.push(completion);
  const auto request_length = channel.length_of_slot[completion.request_slot];
  channel.told[completion.request_slot] = {
      .position = channel.told_count++,
      .tag = completion.tag,
      .generation = completion.generation,
      .request_slot = completion.request_slot,
      .response_slot = completion.response_slot,
      .length = completion.length,
      .request_length = request_length,
      .error_offset = completion.error_offset,
      .error_field = completion.error_field,
      .reason = completion.reason,
      .outcome = completion.outcome,
      .index = channel.request_of_slot[completion.request_slot],
      .is_request = completion.kind != CompletionKind::notice && request_length > 0};
  channel.owners[completion.request_slot] = SlotOwner::client;
  channel.owners[completion.response_slot] = SlotOwner::client;
  channel.has_outcomes = channel.has_outcomes || completion.kind != CompletionKind::notice;
  clients_->client_of(channel_ref).changed = true;
  if (!std::exchange(channel.has_completions, true)) touched_.push_back(channel_ref);
}

}  // namespace tlsmux::engine
