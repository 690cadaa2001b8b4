#include "client/channel.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "client/monotonic_clock.hpp"
#include "client/no_cancellation.hpp"
#include "shm/assert.hpp"
#include "shm/pause_processor.hpp"
#include "shm/row.hpp"

namespace tlsmux::client {
namespace {

// An application that polls without ever waiting learns of an engine's death by so much later.
constexpr std::int64_t kLookIntervalNs = ms_to_ns(1);
constexpr std::int64_t kMemoryRetryNs = ms_to_ns(10);  // when there was none for a new channel
constexpr int kSpinsBetweenClocks = 32;
constexpr const char* kRingCorrupt = "the engine wrote an impossible position into a request ring";

}  // namespace

std::expected<std::unique_ptr<Channel>, int> Channel::open(std::shared_ptr<Client> client, std::string_view upstream,
                                                           const ChannelSettings& settings) {
  auto waiter = ChannelWaiter::create();
  if (!waiter) return std::unexpected(waiter.error().code);
  std::unique_ptr<Channel> channel(new Channel(std::move(client), std::move(*waiter), settings));
  if (const int error = channel->enroll(upstream); error != 0) return std::unexpected(-error);

  const auto begun = now_ns();
  const auto until = begun + ms_to_ns(channel->client_->options().timeout_ms);
  const auto look_until = begun + us_to_ns(channel->client_->options().look_us);
  for (;;) {
    channel->client_->look_for_answer(look_until);
    const int error = channel->ensure_attached();
    if (error == 0) {
      const bool has_room = settings.flags == 0 || channel->current_->notices_max() >= std::max(settings.notices, 1U);
      return has_room ? std::expected<std::unique_ptr<Channel>, int>(std::move(channel)) : std::unexpected(EINVAL);
    }
    const auto now = now_ns();
    if (error != -ENOTCONN) return std::unexpected(-error);
    if (now >= until) return std::unexpected(ETIMEDOUT);
    channel->sleep_until(until);
  }
}

Channel::Channel(std::shared_ptr<Client> client, ChannelWaiter waiter, const ChannelSettings& settings)
    : client_(std::move(client)), settings_(settings), waiter_(std::move(waiter)) {}

int Channel::enroll(std::string_view upstream) {
  shm::Name name;
  shm::set_text(name, upstream);
  auto ticket = client_->enroll(name, settings_, waiter_.epoll(), waiter_.nudge_descriptor());
  if (!ticket) return -ticket.error().code;
  ticket_ = *ticket;
  return 0;
}

Channel::~Channel() {
  if (client_->in_child() || ticket_ == nullptr) return;
  if (current_ != nullptr) {
    waiter_.clear_wake();
    // The application has no use for them, and nobody shall get them as orphans if the process ends now.
    while (has_outcomes()) take_outcome();
    current_->settle(shm::Reason::cancelled, outcomes_);
    while (has_outcomes()) take_outcome();
    current_->publish_seen();
  }
  client_->leave(ticket_, waiter_.epoll(), std::move(current_));
}

bool Channel::is_idle() const {
  return outcomes_.outcomes() == 0 && (current_ == nullptr || current_->open_count() == 0);
}

int Channel::ensure_attached() {
  if (current_ != nullptr && current_->attachment().loss() == Loss::none) [[likely]]
    return 0;
  return attach_again();
}

int Channel::attach_again() {
  const NoCancellation whole;
  if (current_ != nullptr) retire();
  attach_again_ns_ = kNever;
  auto claimed = client_->claim(ticket_, now_ns());
  if (!claimed) {
    TMX_ASSERT(claimed.error() > 0);
    return -claimed.error();
  }
  try {
    if (const int error = prepare(**claimed); error != 0) return error;
  } catch (const std::bad_alloc&) {
    // What was submitted has its outcome here already, and its caller shall have that: no error of his call.
    client_->give_back(ticket_, std::move(*claimed));
    attach_again_ns_ = now_ns() + kMemoryRetryNs;
    return -ENOTCONN;
  }
  current_ = std::move(*claimed);
  // Completions may wait already for whoever watches the descriptor.
  if (waiter_.is_exposed()) waiter_.nudge();
  lend();
  return current_ != nullptr ? 0 : -ENOTCONN;
}

// All that it will need, now: once a request is submitted, nothing may fail for want of memory.
int Channel::prepare(const AttachedChannel& claimed) {
  outcomes_.set_capacity(outcomes_.size() + claimed.in_flight_max() + claimed.notices_max());
  retired_.reserve(retired_.size() + 1);
  const auto watched = waiter_.set_wake(claimed.wake_descriptor());
  if (watched) return 0;
  client_->condemn(claimed.attachment(), watched.error().message.c_str(), now_ns());
  return -watched.error().code;
}

void Channel::lend() {
  if (!current_->lend()) condemn(kRingCorrupt);
}

// The engine is dead, or it has let go of us: what its last completions say first, then the slot words.
void Channel::retire() {
  static_cast<void>(current_->collect(outcomes_));
  settle_current();
}

void Channel::settle_current() {
  current_->settle(reason_of(current_->attachment().loss()), outcomes_);
  waiter_.clear_wake();
  auto old = std::move(current_);
  if (old->application_holds_slots()) retired_.push_back(std::move(old));
  if (waiter_.is_exposed()) waiter_.nudge();
}

void Channel::condemn(const char* why) {
  const NoCancellation whole;
  client_->condemn(current_->attachment(), why, now_ns());
  settle_current();
}

bool Channel::collect() {
  if (current_->collect(outcomes_)) return true;
  condemn("the engine wrote a completion that makes no sense");
  return false;
}

bool Channel::has_room() const {
  // Each request has a place in the queue of outcomes before it exists, and each notice one of its own.
  return current_->in_flight() + outcomes_.outcomes() < current_->in_flight_max() && current_->has_free_slots();
}

std::expected<Channel::Buffer, int> Channel::reserve() {
  if (const int error = ensure_attached(); error != 0) return std::unexpected(error);
  // What the engine has returned meanwhile may be room enough.
  if (!has_room()) {
    if (!collect()) return std::unexpected(-ENOTCONN);
    if (!has_room()) return std::unexpected(-EAGAIN);
  }
  const auto use = current_->reserve();
  const auto bytes = current_->slot_bytes(use.slot).first(current_->request_bytes_max());
  return Buffer{.handle = {current_->attachment().epoch(), use}, .bytes = bytes};
}

std::expected<Channel::Buffer, int> Channel::reserve_until(std::int64_t until_ns) {
  for (;;) {
    const auto now = now_ns();
    do_what_is_due(now);
    auto buffer = reserve();
    if (buffer || (buffer.error() != -EAGAIN && buffer.error() != -ENOTCONN) || now >= until_ns) return buffer;
    // Full of what the application has not taken or released: it is waiting here, so nothing will change.
    if (current_ != nullptr && !current_->engine_holds_slots()) return buffer;
    sleep_until(until_ns);
  }
}

int Channel::abandon(const SlotHandle& handle) {
  auto* channel = find(handle.epoch);
  if (channel == nullptr) return -EINVAL;
  const int error = channel->abandon(handle.use);
  forget_if_unused(channel);
  return error;
}

int Channel::submit(std::span<const Submission> submissions) {
  if (const int error = ensure_attached(); error != 0) return error;
  const auto now = now_ns();
  int taken = 0;
  int error = 0;
  for (const auto& each : submissions) {
    const auto epoch = current_->attachment().epoch();
    if (each.handle.epoch != epoch) {
      error = find(each.handle.epoch) != nullptr ? -ESTALE : -EINVAL;
    } else if (each.notice_id != 0 && each.notice.epoch != epoch) {
      error = -ESTALE;  // the session it came on went with its engine
    } else {
      const auto operation = each.notice_id != 0 ? shm::Operation::reply : shm::Operation::request;
      error = current_->push({.use = each.handle.use,
                              .length = each.length,
                              .tag = each.tag,
                              .timeout_ms = each.timeout_ms,
                              .operation = operation,
                              .notice = each.notice_id},
                             now);
    }
    if (error != 0) break;
    ++taken;
  }
  if (taken > 0) {
    current_->publish();
    if (waiter_.is_exposed()) waiter_.be_ready_by(current_->earliest_deadline_ns());
  }
  if (error == -EPROTO) {
    condemn(kRingCorrupt);
    error = -ENOTCONN;
  }
  return taken > 0 ? taken : error;
}

int Channel::cancel(std::uint64_t tag) {
  // What has been answered already is not open any more.
  if (ensure_attached() != 0 || !collect() || current_->cancel(tag, outcomes_) == 0) return -ENOENT;
  if (waiter_.is_exposed()) waiter_.nudge();
  return 0;
}

int Channel::release(const SlotHandle& answer) {
  auto* channel = find(answer.epoch);
  if (channel == nullptr || !channel->release(answer.use)) return -EINVAL;
  if (channel == current_.get()) {
    lend();
  } else {
    forget_if_unused(channel);
  }
  return 0;
}

AttachedChannel* Channel::find(std::uint32_t epoch) {
  if (current_ != nullptr && current_->attachment().epoch() == epoch) return current_.get();
  const auto found =
      std::ranges::find_if(retired_, [&](const auto& channel) { return channel->attachment().epoch() == epoch; });
  return found != retired_.end() ? found->get() : nullptr;
}

void Channel::forget_if_unused(const AttachedChannel* channel) {
  if (channel == current_.get() || channel->application_holds_slots()) return;
  const NoCancellation until_closed;
  std::erase_if(retired_, [&](const auto& each) { return each.get() == channel; });
}

void Channel::do_what_is_due(std::int64_t now) {
  if (ensure_attached() != 0 || !collect()) return;
  current_->expire(now, outcomes_);
  lend();
}

void Channel::wait_for_outcomes(std::int64_t until_ns) {
  for (bool last = false;;) {
    const auto now = now_ns();
    do_what_is_due(now);
    if (!outcomes_.empty() || last) return;
    if (now < until_ns) {
      sleep_until(until_ns);
    } else {
      look_at_events(now);
      last = true;
    }
  }
}

RequestOutcome Channel::wait_for(const SlotHandle& request) {
  for (;;) {
    do_what_is_due(now_ns());
    if (const auto outcome = outcomes_.take(request)) {
      hand_over(*outcome);
      return *outcome;
    }
    sleep_until(kNever);
  }
}

void Channel::look_at_events(std::int64_t now) {
  if (!waiter_.is_exposed() && now < look_again_ns_) return;
  look_again_ns_ = now + kLookIntervalNs;
  if (waiter_.wait(0)) client_->step(now);
}

void Channel::sleep_until(std::int64_t until_ns) {
  until_ns = std::min(until_ns, attach_again_ns_);
  if (current_ != nullptr) {
    until_ns = std::min(until_ns, current_->earliest_deadline_ns());
    if (spin_until(until_ns)) return;
    current_->arm_wake();
    if (has_news()) {
      current_->disarm_wake();
      return;
    }
  }
  const bool client_is_due = waiter_.wait(ms_until(until_ns, now_ns()));
  if (current_ != nullptr) current_->disarm_wake();
  if (client_is_due) client_->step(now_ns());
}

bool Channel::has_news() {
  return current_->has_completions() || (awaits_trace_number_ && current_->trace_numbers_have_come());
}

bool Channel::spin_until(std::int64_t until_ns) {
  const auto spin_us = client_->options().spin_us;
  if (spin_us == 0) return false;
  const auto end = std::min(until_ns, now_ns() + std::int64_t{spin_us} * 1000);
  do {
    for (int i = 0; i < kSpinsBetweenClocks; ++i) {
      if (has_news()) return true;
      shm::pause_processor();
    }
  } while (now_ns() < end);
  return false;
}

int Channel::descriptor() {
  if (!waiter_.is_exposed()) {
    if (auto exposed = waiter_.expose(); !exposed) return -exposed.error().code;
    waiter_.nudge();  // until the first poll has armed it
  }
  return waiter_.epoll();
}

RequestOutcome Channel::take_outcome() {
  const auto outcome = outcomes_.pop();
  hand_over(outcome);
  return outcome;
}

void Channel::hand_over(const RequestOutcome& outcome) {
  if (auto* channel = find(outcome.request.epoch)) channel->hand_over(outcome);
}

void Channel::finish_taking() {
  if (current_ != nullptr) current_->publish_seen();
  prepare_descriptor();
}

void Channel::prepare_descriptor() {
  if (!waiter_.is_exposed()) return;
  bool ready = !outcomes_.empty();
  auto deadline = attach_again_ns_;
  if (current_ != nullptr) {
    // Not armed: the engine has rung, or somebody slept here. Armed: a ring is yet to come.
    if (!current_->wake_is_armed()) {
      waiter_.take_wake();
      current_->arm_wake();
    }
    ready = ready || current_->has_completions();
    deadline = current_->earliest_deadline_ns();
  }
  waiter_.be_ready_at(deadline, now_ns());
  if (ready) waiter_.nudge();
}

int Channel::upstream_row(shm::UpstreamRow& row) {
  if (const int error = ensure_attached(); error != 0) return error;
  const auto* shared = current_->attachment().upstream_row(current_->upstream());
  if (shared == nullptr) return -EPROTO;
  return shm::read_row(*shared, row) ? 0 : -EAGAIN;
}

}  // namespace tlsmux::client
