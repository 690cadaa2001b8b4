#include "tests/simulation/client_process.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "config/leases.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

using client::kNever;
using client::Loss;

namespace {

constexpr std::uint32_t kBurst = 4;

}  // namespace

ClientProcess::ClientProcess(Context& context, std::uint32_t number, std::uint32_t group)
    : context_(context),
      number_(number),
      group_(group),
      wanted_channels_(context.random.between(1, context.config.groups[group].memory.channels_per_client)) {}

ClientProcess::~ClientProcess() = default;

// ---- Life ----

bool ClientProcess::step(EngineProcess* present) {
  if (dead_) return false;
  if (step_attachment(present)) return true;
  if (!attached_) return false;
  if (misbehave()) return true;
  if (open()) return true;
  if (channels_.empty()) return false;
  const auto first = context_.random.below(channels_.size());
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    if (step_channel(channels_[(first + i) % channels_.size()])) return true;
  }
  return false;
}

bool ClientProcess::step_attachment(EngineProcess* present) {
  if (attached_) {
    auto& attachment = *attached_->attachment;
    if (engine_ == nullptr && context_.random.below(3) == 0) attachment.lose(Loss::engine_died);
    if (attachment.loss() == Loss::none) return false;
    retire(client::reason_of(attachment.loss()));
    return true;
  }
  if (present == nullptr || !conduct_.attaches) return false;
  attached_ = present->attach(number_, group_, ++epoch_, *this);
  if (attached_) engine_ = present;
  return attached_.has_value();
}

bool ClientProcess::misbehave() {
  auto& random = context_.random;
  if (context_.strikes(Fault::client_dies)) {
    die();
    return true;
  }
  if (context_.strikes(Fault::client_leaves)) {
    leave();
    return true;
  }
  if (context_.strikes(Fault::client_scribbles) || (mad_ && random.chance(100))) {
    scribble();
    return true;
  }
  return false;
}

bool ClientProcess::open() {
  if (engine_ == nullptr || asked_ || channels_.size() >= wanted_channels_ || !conduct_.attaches) return false;
  const auto upstreams = allowed_upstreams();
  if (!heir_of_ && upstreams.empty()) return false;
  asked_upstream_ = heir_of_ ? *heir_of_ : context_.random.pick(upstreams);
  asked_flags_ = heir_of_ ? std::uint32_t{shm::kSubscribeOrphans} : some_flags(asked_upstream_);
  asked_ = true;
  engine_->open_channel(attached_->id, context_.upstream(asked_upstream_).name, asked_flags_);
  return true;
}

void ClientProcess::die() {
  context_.trace("client " + std::to_string(number_) + " dies");
  context_.ledger.client_died(number_);
  for (const auto& channel : channels_) context_.ledger.closed(channel.opening);
  channels_.clear();
  if (attached_ && engine_ != nullptr) {
    // The kernel closes its socket first; the engine may or may not see that before it hears of the death.
    if (context_.random.below(2) == 0) engine_->dismiss(attached_->id, false);
    engine_->dismiss(attached_->id, true);
  }
  attached_.reset();
  engine_ = nullptr;
  dead_ = true;
}

void ClientProcess::kill_if_mad() {
  if (mad_ && !dead_) die();
}

void ClientProcess::leave() {
  if (!attached_) return;
  context_.trace("client " + std::to_string(number_) + " leaves");
  retire(shm::Reason::cancelled);
}

// What the last completions say first, then the slot words. From here on it asks its engine nothing.
void ClientProcess::retire(shm::Reason reason) {
  auto* const engine = std::exchange(engine_, nullptr);
  for (auto& channel : channels_) {
    if (!channel.attached->collect(channel.outcomes) && !mad_) throw Violation("a last completion makes no sense");
    channel.attached->settle(reason, channel.outcomes);
    report_all(channel);
    while (release(channel)) {
    }
    context_.ledger.closed(channel.opening);
  }
  channels_.clear();
  if (engine != nullptr) engine->dismiss(attached_->id, false);
  attached_.reset();
  asked_ = false;
}

// ---- The control thread's answers ----

void ClientProcess::channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) {
  asked_ = false;
  auto& channel = channels_.emplace_back();
  channel.upstream = asked_upstream_;
  channel.opening = ++context_.last_opening;
  channel.flags = asked_flags_;
  channel.attached =
      std::make_unique<client::AttachedChannel>(client::OpenedChannel{.attachment = attached_->attachment,
                                                                      .reply = reply,
                                                                      .wake = std::move(wake),
                                                                      .settings = {.flags = asked_flags_}});
  channel.outcomes.set_capacity(channel.attached->in_flight_max() + channel.attached->notices_max());
  lend(channel);
}

void ClientProcess::channel_refused(int error) {
  asked_ = false;
  const bool is_removed = engine_ != nullptr && engine_->is_removed(asked_upstream_);
  const bool is_shut_out = engine_ != nullptr && engine_->has_shut_out();
  const bool is_leased = error == EINVAL && context_.is_fickle(asked_upstream_);
  const bool is_right =
      error == EAGAIN || is_leased || (error == ENOENT && is_removed) || (error == EACCES && is_shut_out);
  if (!is_right && !mad_) throw Violation("a channel is refused with " + std::to_string(error));
}

void ClientProcess::channel_closed(int error) {
  asked_ = false;
  const auto closed = std::ranges::find_if(channels_, [this](const Channel& channel) {
    return channel.closing && channel.attached->number() == closing_number_;
  });
  if (closed == channels_.end()) throw Violation("the engine closes a channel that nobody asked it to close");
  closed->closing = false;
  if (error != 0) return;
  context_.ledger.closed(closed->opening);
  channels_.erase(closed);
}

void ClientProcess::detached(const std::string& rule) {
  context_.trace("client " + std::to_string(number_) + " is detached: " + rule);
  if (!mad_) throw Violation("an honest client is detached: " + rule);
  attached_->attachment->lose(Loss::detached);
}

// ---- What an application does ----

bool ClientProcess::step_channel(Channel& channel) {
  if (channel.asleep) return wake_up(channel);
  if (channel.closing) return collect(channel);
  switch (context_.random.below(8)) {
    case 0:
    case 1:
    case 2:
      if (submit(channel)) return true;
      break;
    case 3:
      if (cancel(channel)) return true;
      break;
    case 4:
      if (close(channel)) return true;
      break;
    case 5:
      if (fall_asleep(channel)) return true;
      break;
    default: break;
  }
  return collect(channel) || report(channel) || release(channel) || expire(channel) || fall_asleep(channel);
}

bool ClientProcess::submit(Channel& channel) {
  if (!conduct_.submits) return false;
  const auto burst = context_.random.below(10) == 0 ? channel.attached->in_flight_max() : kBurst;
  const auto wanted = context_.random.between(1, burst);
  std::size_t done = 0;
  for (; done < wanted; ++done) {
    const auto in_use = channel.attached->in_flight() + channel.outcomes.outcomes();
    if (!channel.attached->has_free_slots() || in_use >= channel.attached->in_flight_max()) break;
    submit_one(channel, false);
  }
  if (done > 0) channel.attached->publish();
  return done > 0;
}

void ClientProcess::submit_one(Channel& channel, bool must_be_answered) {
  auto& random = context_.random;
  const auto& settings = context_.upstream(channel.upstream);
  const bool in_order = context_.in_order(channel.upstream);
  const std::size_t key_offset = settings.correlation.offset;
  const std::uint64_t shortest = key_offset + kRequestBytesMin;
  const std::uint64_t longest = settings.framing.message_bytes_max;
  RequestText text{.number = context_.ledger.size() + 1,
                   .key = context_.ledger.size() + 1,
                   .key_offset = key_offset,
                   .length = random.between(shortest, std::min(longest, shortest + 200))};
  if (random.chance(50)) text.length = random.between(shortest, longest);
  const bool may_be_short = !context_.may_be_in_order(channel.upstream) && !must_be_answered;
  if (may_be_short && random.chance(20)) text.length = random.between(1, key_offset + kKeyBytes - 1);
  // A key in use is refused. A host that answers twice would answer whoever has it next as well.
  const auto& repeatable = channel.given_up.empty() || random.below(2) == 0 ? channel.open : channel.given_up;
  const bool may_repeat = !in_order && !must_be_answered && context_.faults[Fault::duplicate] == 0;
  if (may_repeat && !repeatable.empty() && context_.strikes(Fault::duplicate_key)) {
    text.key = context_.ledger.entry(random.pick(repeatable)).key;
  }

  const auto timeout_ms = must_be_answered ? 100'000 : random.below(3) == 0 ? 0 : random.between(1, 200);
  const auto allowed_ms = timeout_ms != 0 ? timeout_ms : channel.attached->timeout_ms();
  const auto number = context_.ledger.submit({.client = number_,
                                              .group = group_,
                                              .engine = engine_ == nullptr ? 0 : engine_->number(),
                                              .upstream = channel.upstream,
                                              .in_order = in_order,
                                              .key = text.key,
                                              .key_offset = key_offset,
                                              .length = text.length,
                                              .deadline_ns = context_.now_ns + allowed_ms * 1'000'000,
                                              .must_be_answered = must_be_answered});
  const auto use = channel.attached->reserve();
  write_request(channel.attached->slot_bytes(use.slot).first(text.length), text);
  push(channel, number,
       {.use = use,
        .length = static_cast<std::uint32_t>(text.length),
        .tag = number,
        .timeout_ms = static_cast<std::uint32_t>(timeout_ms)});
}

void ClientProcess::push(Channel& channel, std::uint64_t number, const client::Push& pushed) {
  const int error = channel.attached->push(pushed, now());
  context_.trace("client " + std::to_string(number_) + " asks " + std::to_string(number) + ", " +
                 std::to_string(pushed.length) + " bytes");
  if (error == 0) {
    channel.open.push_back(number);
    channel.last_pushed = {.epoch = epoch_, .use = pushed.use};
  } else if (mad_) {
    channel.attached->abandon(pushed.use);
  } else {
    throw Violation("a request could not be pushed: " + std::to_string(error));
  }
}

void ClientProcess::probe(std::size_t channel) {
  submit_one(channels_[channel], true);
  channels_[channel].attached->publish();
}

bool ClientProcess::collect(Channel& channel) {
  if (!channel.attached->has_completions()) return false;
  if (!channel.attached->collect(channel.outcomes)) {
    if (!mad_) throw Violation("the engine wrote a completion that makes no sense");
    attached_->attachment->lose(Loss::detached);
  }
  report(channel);
  return true;
}

bool ClientProcess::expire(Channel& channel) {
  if (channel.attached->earliest_deadline_ns() > now()) return false;
  channel.attached->expire(now(), channel.outcomes);
  report(channel);
  return true;
}

bool ClientProcess::cancel(Channel& channel) {
  if (channel.open.empty() || !conduct_.submits) return false;
  if (context_.random.below(2) == 0) collect(channel);
  if (channel.open.empty()) return true;
  channel.attached->cancel(context_.random.pick(channel.open), channel.outcomes);
  report(channel);
  return true;
}

bool ClientProcess::fall_asleep(Channel& channel) {
  channel.attached->arm_wake();
  channel.asleep = !channel.attached->has_completions();
  if (!channel.asleep) channel.attached->disarm_wake();
  return channel.asleep;
}

bool ClientProcess::wake_up(Channel& channel) {
  const bool rung = take_count(channel.attached->wake_descriptor()) > 0;
  const bool by_itself =
      !channel.held.empty() || !channel.outcomes.empty() || (conduct_.submits && context_.random.chance(50));
  if (!rung && channel.attached->earliest_deadline_ns() > now() && !by_itself) return false;
  channel.asleep = false;
  channel.attached->disarm_wake();
  return true;
}

bool ClientProcess::close(Channel& channel) {
  auto& attached = *channel.attached;
  if (engine_ == nullptr || asked_ || !conduct_.submits || attached.open_count() > 0 || attached.engine_holds_slots() ||
      !channel.held.empty() || !channel.outcomes.empty()) {
    return false;
  }
  channel.closing = asked_ = true;
  channel.attached->decline_notices();
  closing_number_ = attached.number();
  engine_->close_channel(attached_->id, closing_number_);
  return true;
}

// ---- What the checks ask ----

bool ClientProcess::is_idle() const {
  return !mourns() && std::ranges::all_of(channels_, [](const Channel& channel) {
    return channel.attached->in_flight() == 0 && !channel.attached->engine_holds_slots() && channel.held.empty() &&
           channel.outcomes.empty() && !channel.closing;
  });
}

bool ClientProcess::has_read_all() const {
  return is_idle() &&
         std::ranges::none_of(channels_, [](const Channel& channel) { return channel.attached->has_completions(); });
}

std::uint64_t ClientProcess::next_due_ns() const {
  auto due = kNever;
  for (const auto& channel : channels_) due = std::min(due, channel.attached->earliest_deadline_ns());
  return due == kNever ? 0 : static_cast<std::uint64_t>(due);
}

void ClientProcess::check_nothing_is_slept_over() const {
  if (mad_ || engine_ == nullptr || attached_->attachment->loss() != Loss::none) return;
  for (const auto& channel : channels_) {
    const auto memory = attached_->attachment->channel(channel.attached->number());
    const auto& header = *reinterpret_cast<const shm::ChannelHeader*>(memory.data());
    if (header.requests.tail.load() != header.requests.head.load()) throw Violation("the engine sleeps over a request");
    if (!channel.asleep || header.completions.tail.load() == header.completions.head.load()) continue;
    pollfd wake{.fd = channel.attached->wake_descriptor(), .events = POLLIN, .revents = 0};
    if (::poll(&wake, 1, 0) == 0) throw Violation("a client sleeps over a completion");
  }
}

std::vector<std::uint32_t> ClientProcess::allowed_upstreams() const {
  std::vector<std::uint32_t> allowed;
  const auto& name = context_.config.groups[group_].name;
  for (std::uint32_t i = 0; i < context_.config.upstreams.size(); ++i) {
    if (config::leases_sessions(context_.upstream(i))) continue;  // takes no requests
    const bool is_gone = engine_ != nullptr && (engine_->is_removed(i) || engine_->is_group_removed(group_));
    if (context_.faults.none() && is_gone) continue;  // it would ask for ever
    if (std::ranges::find(context_.upstream(i).groups, name) != context_.upstream(i).groups.end()) allowed.push_back(i);
  }
  return allowed;
}

}  // namespace tlsmux::simulation
