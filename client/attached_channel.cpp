#include "client/attached_channel.hpp"

#include <algorithm>
#include <cerrno>

#include "client/monotonic_clock.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::client {
namespace {

// The memory is mapped and as large as the geometry says: `Attachment` has checked it.
template <typename Entry>
std::span<Entry> entries_at(std::span<std::byte> channel, std::uint64_t offset, std::uint32_t count) {
  return {reinterpret_cast<Entry*>(channel.data() + offset), count};
}

}  // namespace

AttachedChannel::AttachedChannel(OpenedChannel opened)
    : attachment_(std::move(opened.attachment)),
      reply_(opened.reply),
      wake_(std::move(opened.wake)),
      request_bytes_max_(std::min(reply_.message_bytes_max, geometry().slot_bytes)),
      slots_(geometry().slots_per_channel),
      requests_(geometry().slots_per_channel) {
  const auto memory = attachment_->channel(reply_.channel);
  const auto entries = geometry().ring_entries();
  header_ = reinterpret_cast<shm::ChannelHeader*>(memory.data());
  ring_out_ = {&header_->requests, entries_at<shm::RequestDescriptor>(memory, geometry().requests_offset(), entries)};
  ring_in_ = {&header_->completions,
              entries_at<shm::CompletionDescriptor>(memory, geometry().completions_offset(), entries)};
  controls_ = entries_at<shm::SlotControl>(memory, geometry().slot_controls_offset(), geometry().slots_per_channel);
  payload_ = memory.subspan(geometry().slots_offset());
}

SlotUse AttachedChannel::reserve() {
  const auto response = slots_.take(Holder::application);
  const auto request = slots_.take(Holder::application);
  requests_[request.slot] = {.response_slot = response.slot, .state = State::reserved};
  ++in_flight_;
  return request;
}

std::span<std::byte> AttachedChannel::slot_bytes(std::uint32_t slot) const {
  return payload_.subspan(slot * geometry().slot_stride(), geometry().slot_bytes);
}

int AttachedChannel::abandon(SlotUse use) {
  if (!slots_.holds(use, Holder::application) || requests_[use.slot].state != State::reserved) return -EINVAL;
  slots_.drop_holder(requests_[use.slot].response_slot, Holder::application);
  slots_.drop_holder(use.slot, Holder::application);
  requests_[use.slot].state = State::none;
  --in_flight_;
  return 0;
}

int AttachedChannel::push(SlotUse use, std::uint32_t length, std::uint64_t tag, std::uint32_t timeout_ms,
                          std::int64_t now) {
  if (!slots_.holds(use, Holder::application) || requests_[use.slot].state != State::reserved) return -EINVAL;
  if (length == 0) return -EINVAL;
  if (length > request_bytes_max_) return -EMSGSIZE;
  const auto room = ring_out_.room();
  if (!room) return -EPROTO;
  if (*room == 0) return -EAGAIN;

  auto& request = requests_[use.slot];
  for (const auto slot : {use.slot, request.response_slot}) {
    slots_.add_holder(slot, Holder::engine);
    slots_.drop_holder(slot, Holder::application);
  }
  if (timeout_ms == 0) timeout_ms = reply_.timeout_ms;
  request.tag = tag;
  request.deadline_ns = now + ms_to_ns(timeout_ms);
  request.state = State::open;
  ++open_;
  earliest_deadline_ns_ = std::min(earliest_deadline_ns_, request.deadline_ns);

  controls_[use.slot].word.start(use.generation);
  ring_out_.push({.tag = tag,
                  .generation = use.generation,
                  .request_slot = use.slot,
                  .response_slot = request.response_slot,
                  .length = length,
                  .timeout_ms = timeout_ms,
                  .operation = shm::Operation::request,
                  .flags = 0,
                  .reserved0 = 0,
                  .notice = 0,
                  .reserved1 = {}});
  return 0;
}

void AttachedChannel::publish() {
  ring_out_.publish();
  attachment_->announce(reply_.shard, reply_.channel);
}

bool AttachedChannel::collect(OutcomeQueue& outcomes) {
  const auto count = ring_in_.available();
  if (!count) return false;
  if (*count == 0) return true;
  bool good = true;
  for (std::uint64_t i = 0; i < *count && good; ++i) good = accept(ring_in_.take(), outcomes);
  ring_in_.release();
  return good;
}

bool AttachedChannel::accept(const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes) {
  const SlotUse use{.slot = completion.request_slot, .generation = completion.generation};
  if (!slots_.holds(use, Holder::engine)) return false;
  const auto& request = requests_[use.slot];
  if (request.response_slot != completion.response_slot) return false;

  if (request.state == State::open) {
    if (completion.kind != shm::CompletionKind::outcome) return false;
    const bool known = completion.outcome == shm::Outcome::answered || completion.outcome == shm::Outcome::not_sent ||
                       completion.outcome == shm::Outcome::maybe_sent;
    const bool answered = completion.outcome == shm::Outcome::answered;
    if (!known || (answered && completion.length > geometry().slot_bytes)) return false;
    report(use.slot, {completion.outcome, completion.reason, answered ? completion.length : 0}, outcomes);
  } else if (request.state != State::decided) {
    return false;
  }
  requests_[use.slot].state = State::none;
  slots_.drop_holder(request.response_slot, Holder::engine);
  slots_.drop_holder(use.slot, Holder::engine);
  return true;
}

bool AttachedChannel::has_completions() {
  const auto count = ring_in_.available();
  return !count || *count > 0;
}

void AttachedChannel::arm_wake() { shm::arm(header_->client_armed); }
void AttachedChannel::disarm_wake() { shm::disarm(header_->client_armed); }
bool AttachedChannel::wake_is_armed() const { return header_->client_armed.load(std::memory_order_relaxed) != 0; }

void AttachedChannel::expire(std::int64_t now, OutcomeQueue& outcomes) {
  if (now < earliest_deadline_ns_) return;
  auto earliest = kNever;
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    const auto& request = requests_[slot];
    if (request.state != State::open) continue;
    if (request.deadline_ns <= now) {
      decide_request(slot, shm::Reason::deadline, outcomes);
    } else {
      earliest = std::min(earliest, request.deadline_ns);
    }
  }
  earliest_deadline_ns_ = earliest;
}

std::uint32_t AttachedChannel::cancel(std::uint64_t tag, OutcomeQueue& outcomes) {
  std::uint32_t found = 0;
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    if (requests_[slot].state != State::open || requests_[slot].tag != tag) continue;
    decide_request(slot, shm::Reason::cancelled, outcomes);
    ++found;
  }
  return found;
}

void AttachedChannel::settle(shm::Reason reason, OutcomeQueue& outcomes) {
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    if (requests_[slot].state == State::open) decide_request(slot, reason, outcomes);
  }
}

void AttachedChannel::decide_request(std::uint32_t slot, shm::Reason reason, OutcomeQueue& outcomes) {
  const auto verdict = decide(controls_[slot], slots_.generation(slot), reason, geometry().slot_bytes);
  report(slot, verdict, outcomes);
  requests_[slot].state = State::decided;
}

void AttachedChannel::report(std::uint32_t slot, const Verdict& verdict, OutcomeQueue& outcomes) {
  const auto& request = requests_[slot];
  const auto epoch = attachment_->epoch();
  RequestOutcome outcome{.tag = request.tag,
                         .outcome = verdict.outcome,
                         .reason = verdict.reason,
                         .length = verdict.length,
                         .data = nullptr,
                         .answer = {},
                         .request = {epoch, {slot, slots_.generation(slot)}}};
  if (verdict.outcome == shm::Outcome::answered) {
    slots_.add_holder(request.response_slot, Holder::application);
    outcome.data = slot_bytes(request.response_slot).data();
    outcome.answer = {epoch, {request.response_slot, slots_.generation(request.response_slot)}};
  }
  outcomes.push(outcome);
  --in_flight_;
  --open_;
}

bool AttachedChannel::release(SlotUse use) {
  if (!slots_.holds(use, Holder::application) || requests_[use.slot].state == State::reserved) return false;
  slots_.drop_holder(use.slot, Holder::application);
  return true;
}

}  // namespace tlsmux::client
