#include "client/attached_channel.hpp"

#include <algorithm>
#include <cerrno>

#include "client/monotonic_clock.hpp"
#include "shm/doorbell.hpp"
#include "shm/wipe.hpp"

namespace tlsmux::client {
namespace {

// The memory is mapped and as large as the geometry says: `Attachment` has checked it.
template <typename Entry>
std::span<Entry> entries_at(std::span<std::byte> channel, std::uint64_t offset, std::uint32_t count) {
  return {reinterpret_cast<Entry*>(channel.data() + offset), count};
}

constexpr std::uint32_t kNoticesDefault = 8;

// Of so many pairs of slots.
std::uint32_t pairs_for_notices(const ChannelSettings& settings, std::uint32_t pairs) {
  if (settings.flags == 0) return 0;
  const auto wanted = settings.notices != 0 ? settings.notices : std::min(kNoticesDefault, pairs / 2);
  return std::min(wanted, pairs - 1);
}

bool is_known(shm::Outcome outcome) {
  return outcome == shm::Outcome::answered || outcome == shm::Outcome::not_sent || outcome == shm::Outcome::maybe_sent;
}

}  // namespace

AttachedChannel::AttachedChannel(OpenedChannel opened)
    : attachment_(std::move(opened.attachment)),
      reply_(opened.reply),
      wake_(std::move(opened.wake)),
      request_bytes_max_(std::min(reply_.message_bytes_max, geometry().slot_bytes)),
      slots_(geometry().slots_per_channel, attachment_->wipes_slots()),
      requests_(geometry().slots_per_channel),
      notices_max_(pairs_for_notices(opened.settings, geometry().slots_per_channel / 2)) {
  const auto memory = attachment_->channel(reply_.channel);
  const auto entries = geometry().ring_entries();
  header_ = reinterpret_cast<shm::ChannelHeader*>(memory.data());
  ring_out_ = {&header_->requests, entries_at<shm::RequestDescriptor>(memory, geometry().requests_offset(), entries)};
  ring_in_ = {&header_->completions,
              entries_at<shm::CompletionDescriptor>(memory, geometry().completions_offset(), entries)};
  controls_ = entries_at<shm::SlotControl>(memory, geometry().slot_controls_offset(), geometry().slots_per_channel);
  payload_ = memory.subspan(geometry().slots_offset());
  trace_numbers_ = shm::TraceLeaseConsumer(&header_->trace_numbers);
}

AttachedChannel::~AttachedChannel() {
  if (attachment_ == nullptr || !attachment_->wipes_slots() || attachment_->is_in_child()) return;
  const bool engine_is_dead = attachment_->loss() == Loss::engine_died;
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    const SlotUse use{.slot = slot, .generation = slots_.generation(slot)};
    if (engine_is_dead || !slots_.holds(use, Holder::engine)) shm::wipe(slot_bytes(slot));
  }
}

// One that has only just become free, and was not wiped yet, is wiped now.
SlotUse AttachedChannel::take_slot(Holder holder) {
  const auto use = slots_.take(holder);
  if (slots_.is_noted(use.slot)) shm::wipe(slot_bytes(use.slot));
  return use;
}

// Not before the application counts as told: if the process dies first, what lies there goes to another.
void AttachedChannel::wipe_freed_slots() {
  if (seen_ != seen_published_) return;
  slots_.take_freed([&](std::uint32_t slot) { shm::wipe(slot_bytes(slot)); });
}

SlotUse AttachedChannel::reserve() {
  const auto response = take_slot(Holder::application);
  const auto request = take_slot(Holder::application);
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
  wipe_freed_slots();
  return 0;
}

int AttachedChannel::push(const Push& pushed, std::int64_t now) {
  const auto use = pushed.use;
  if (!slots_.holds(use, Holder::application) || requests_[use.slot].state != State::reserved) return -EINVAL;
  if (pushed.length == 0) return -EINVAL;
  if (pushed.length > request_bytes_max_) return -EMSGSIZE;
  const auto room = ring_out_.room();
  if (!room) return -EPROTO;
  if (*room == 0) return -EAGAIN;

  auto& request = requests_[use.slot];
  for (const auto slot : {use.slot, request.response_slot}) {
    slots_.add_holder(slot, Holder::engine);
    slots_.drop_holder(slot, Holder::application);
  }
  const auto timeout_ms = pushed.timeout_ms != 0 ? pushed.timeout_ms : reply_.timeout_ms;
  request.tag = pushed.tag;
  request.deadline_ns = now + ms_to_ns(timeout_ms);
  request.state = State::open;
  ++open_;
  earliest_deadline_ns_ = std::min(earliest_deadline_ns_, request.deadline_ns);

  controls_[use.slot].word.start(use.generation);
  ring_out_.push({.tag = pushed.tag,
                  .generation = use.generation,
                  .request_slot = use.slot,
                  .response_slot = request.response_slot,
                  .length = pushed.length,
                  .timeout_ms = timeout_ms,
                  .operation = pushed.operation,
                  .flags = 0,
                  .reserved0 = 0,
                  .notice = pushed.notice,
                  .reserved1 = {}});
  return 0;
}

bool AttachedChannel::lend() {
  if (notices_ >= notices_max_) return true;
  const auto room = ring_out_.room();
  if (!room) return false;
  const auto before = lent_;
  for (auto left = *room; left > 0 && notices_ < notices_max_ && slots_.free_count() >= 2; --left) {
    // The pair that was released last: from its reuse the engine learns that its notice has been dealt with.
    const auto pair = take_slot(Holder::engine);
    const auto response = take_slot(Holder::engine);
    requests_[pair.slot] = {.response_slot = response.slot, .state = State::lent};
    ++notices_;
    ++lent_;
    controls_[pair.slot].word.start(pair.generation);
    ring_out_.push({.generation = pair.generation,
                    .request_slot = pair.slot,
                    .response_slot = response.slot,
                    .operation = shm::Operation::receive});
  }
  if (lent_ != before) publish();
  return true;
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
  for (std::uint64_t i = 0; i < *count && good; ++i) {
    ++collected_;
    good = accept(ring_in_.take(), outcomes);
  }
  ring_in_.release();
  return good;
}

bool AttachedChannel::accept(const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes) {
  const SlotUse use{.slot = completion.request_slot, .generation = completion.generation};
  if (!slots_.holds(use, Holder::engine)) return false;
  const auto& request = requests_[use.slot];
  if (request.response_slot != completion.response_slot) return false;

  if (request.state == State::lent) {
    if (!accept_notice(use, completion, outcomes)) return false;
  } else if (request.state == State::open) {
    if (!accept_outcome(use.slot, completion, outcomes)) return false;
    requests_[use.slot].state = State::none;
  } else if (request.state == State::decided) {
    requests_[use.slot].state = State::none;
  } else {
    return false;
  }
  slots_.drop_holder(request.response_slot, Holder::engine);
  slots_.drop_holder(use.slot, Holder::engine);
  return true;
}

bool AttachedChannel::accept_outcome(std::uint32_t slot, const shm::CompletionDescriptor& completion,
                                     OutcomeQueue& outcomes) {
  if (completion.kind != shm::CompletionKind::outcome || !is_known(completion.outcome)) return false;
  Verdict verdict{.outcome = completion.outcome, .reason = completion.reason};
  if (verdict.outcome == shm::Outcome::answered) verdict.length = completion.length;
  if (verdict.length > geometry().slot_bytes) return false;
  if (verdict.reason == shm::Reason::unparsable) {
    verdict.error_offset = completion.error_offset;
    verdict.error_field = completion.error_field;
  }
  report(slot, verdict, collected_, outcomes);
  return true;
}

bool AttachedChannel::accept_notice(SlotUse pair, const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes) {
  const auto kind = completion.notice_kind;
  const bool orphan = kind == shm::NoticeKind::orphan;
  const bool is_sound =
      completion.kind == shm::CompletionKind::notice && completion.length <= geometry().slot_bytes &&
      completion.request_length <= geometry().slot_bytes &&
      (orphan ? is_known(completion.outcome) : kind == shm::NoticeKind::late || kind == shm::NoticeKind::unsolicited);
  if (!is_sound) return false;

  --lent_;
  auto& request = requests_[pair.slot];
  if (notices_max_ == 0) {  // declined
    --notices_;
    request.state = State::none;
    return true;
  }
  request.state = State::delivered;
  RequestOutcome notice{.tag = completion.tag, .kind = kind, .answer = {attachment_->epoch(), pair}};
  if (orphan) {
    notice.outcome = completion.outcome;
    notice.reason = completion.reason;
    notice.error_offset = completion.error_offset;
    notice.error_field = completion.error_field;
  }
  if (kind == shm::NoticeKind::unsolicited) notice.notice = completion.notice;
  if (completion.request_length > 0) {
    notice.request_length = completion.request_length;
    notice.request_data = slot_bytes(pair.slot).data();
  }
  if (!orphan || completion.outcome == shm::Outcome::answered) {
    notice.length = completion.length;
    notice.data = slot_bytes(request.response_slot).data();
  }
  slots_.add_holder(pair.slot, Holder::application);
  slots_.add_holder(request.response_slot, Holder::application);
  outcomes.push(notice);
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
  report(slot, verdict, 0, outcomes);
  requests_[slot].state = State::decided;
}

void AttachedChannel::report(std::uint32_t slot, const Verdict& verdict, std::uint64_t told_at,
                             OutcomeQueue& outcomes) {
  const auto& request = requests_[slot];
  const auto epoch = attachment_->epoch();
  RequestOutcome outcome{.tag = request.tag,
                         .outcome = verdict.outcome,
                         .reason = verdict.reason,
                         .length = verdict.length,
                         .data = nullptr,
                         .answer = {},
                         .request = {epoch, {slot, slots_.generation(slot)}},
                         .told_at = told_at,
                         .request_data = nullptr,
                         .error_offset = verdict.error_offset,
                         .error_field = verdict.error_field};
  if (verdict.outcome == shm::Outcome::answered) {
    slots_.add_holder(request.response_slot, Holder::application);
    outcome.data = slot_bytes(request.response_slot).data();
    outcome.answer = {epoch, {request.response_slot, slots_.generation(request.response_slot)}};
  }
  for (const auto each : {slot, request.response_slot}) slots_.add_holder(each, Holder::queue);
  outcomes.push(outcome);
  --in_flight_;
  --open_;
}

void AttachedChannel::hand_over(const RequestOutcome& outcome) {
  const auto use = outcome.request.use;
  if (outcome.is_notice() || !slots_.holds(use, Holder::queue)) return;
  if (outcome.told_at != 0) {
    seen_ = outcome.told_at;
  } else {
    std::atomic_ref(controls_[use.slot].seen_generation).store(use.generation, std::memory_order_release);
  }
  slots_.drop_holder(requests_[use.slot].response_slot, Holder::queue);
  slots_.drop_holder(use.slot, Holder::queue);
}

// Release: with the slots used again, the position must be there.
void AttachedChannel::publish_seen() {
  if (seen_ != seen_published_) header_->completions.seen.store(seen_, std::memory_order_release);
  seen_published_ = seen_;
  wipe_freed_slots();
}

bool AttachedChannel::release(SlotUse use) {
  if (!slots_.holds(use, Holder::application) || requests_[use.slot].state == State::reserved) return false;
  auto& request = requests_[use.slot];
  if (request.state == State::delivered) {
    request.state = State::none;
    --notices_;
    slots_.drop_holder(request.response_slot, Holder::application);
  }
  slots_.drop_holder(use.slot, Holder::application);
  wipe_freed_slots();
  return true;
}

std::expected<bool, shm::TraceLeaseCorrupt> AttachedChannel::begin_trace_block(std::uint32_t& number) {
  const auto begun = trace_numbers_.begin_block();
  if (!begun || !*begun) return begun;
  // The engine looks by the time that this channel sends its next request. It is rung for only if that may be late.
  if (trace_numbers_.ahead() > 1) {
    attachment_->mark_ready(reply_.shard, reply_.channel);
  } else {
    attachment_->announce(reply_.shard, reply_.channel);
  }
  return trace_numbers_.next(number);
}

void AttachedChannel::ask_for_trace_numbers() {
  if (!trace_numbers_.has_asked()) trace_numbers_.ask();
  attachment_->announce(reply_.shard, reply_.channel);
}

}  // namespace tlsmux::client
