#include "client/channel_registry.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/attach_attempt.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client {
namespace {

using shm::SystemError;
using State = ChannelTicket::State;

constexpr std::int64_t kRetryNs = ms_to_ns(500);

void nudge(const ChannelTicket& ticket) {
  if (ticket.nudge < 0) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ticket.nudge, &one, sizeof one);
}

bool is_sound(const shm::OpenChannelReply& reply, const Attachment& attachment) {
  return reply.channel < attachment.geometry().channels && reply.shard < config::kShardsMax &&
         reply.message_bytes_max > 0 && reply.timeout_ms > 0 && reply.timeout_ms <= config::kTimeoutMsMax;
}

}  // namespace

ChannelTicket* ChannelRegistry::add(const shm::Name& upstream, const ChannelSettings& settings, int nudge) {
  draining_.reserve(draining_.size() + tickets_.size() + 1);  // so that `remove` needs no memory
  auto& ticket = tickets_.emplace_back();
  ticket.upstream = upstream;
  ticket.settings = settings;
  ticket.nudge = nudge;
  return &ticket;
}

void ChannelRegistry::remove(ChannelTicket* ticket, std::unique_ptr<AttachedChannel> attached) {
  if (ticket->opened != nullptr) attached = std::move(ticket->opened);
  if (attached != nullptr && attached->attachment().loss() == Loss::none) {
    attached->decline_notices();
    draining_.push_back(std::move(attached));
  }
  if (asked_for_ == ticket) asked_for_ = nullptr;
  tickets_.remove_if([&](const ChannelTicket& each) { return &each == ticket; });
}

void ChannelRegistry::forget_engine() {
  question_ = Question::none;
  asked_for_ = nullptr;
  draining_.clear();
  to_close_.clear();
  close_not_before_ns_ = 0;
  for (auto& ticket : tickets_) {
    ticket.state = State::wanted;
    ticket.opened.reset();
    nudge(ticket);
  }
}

std::expected<void, SystemError> ChannelRegistry::take(shm::Packet& packet,
                                                       const std::shared_ptr<Attachment>& attachment,
                                                       std::int64_t now) {
  const auto refusal = refusal_in(packet);
  if (question_ == Question::open) {
    if (!refusal) return take_opened(packet, attachment);
    take_refused(*refusal, now);
    return {};
  }
  shm::CloseChannelReply closed;
  if (question_ == Question::close && (refusal || shm::read_message(packet, closed))) {
    question_ = Question::none;
    if (refusal && refusal->code == EBUSY) {
      to_close_.push_back(closing_number_);
      close_not_before_ns_ = now + kRetryNs;
    }
    return {};
  }
  return std::unexpected(SystemError{.code = EPROTO, .message = "the engine answered what was not asked"});
}

std::expected<void, SystemError> ChannelRegistry::take_opened(shm::Packet& packet,
                                                              const std::shared_ptr<Attachment>& attachment) {
  shm::OpenChannelReply reply;
  const auto descriptors = packet.descriptors.size();
  if (!shm::read_message(packet, reply) || descriptors < 1 || descriptors > 2 || !is_sound(reply, *attachment)) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the engine opened a channel that makes no sense"});
  }
  if (descriptors == 2) {
    if (auto added = attachment->add_doorbell(reply.shard, std::move(packet.descriptors[1])); !added) return added;
  }
  question_ = Question::none;
  auto* ticket = std::exchange(asked_for_, nullptr);
  if (ticket == nullptr) {
    to_close_.push_back(reply.channel);
    return {};
  }
  ticket->opened = std::make_unique<AttachedChannel>(OpenedChannel{.attachment = attachment,
                                                                   .reply = reply,
                                                                   .wake = std::move(packet.descriptors.front()),
                                                                   .settings = ticket->settings});
  ticket->state = State::opened;
  nudge(*ticket);
  return {};
}

void ChannelRegistry::take_refused(const SystemError& refusal, std::int64_t now) {
  question_ = Question::none;
  refusal_ = refusal;
  auto* ticket = std::exchange(asked_for_, nullptr);
  if (ticket == nullptr) return;
  ticket->refusal = refusal;
  ticket->state = State::refused;
  ticket->retry_ns = now + kRetryNs;
  nudge(*ticket);
}

void ChannelRegistry::pump(int control, std::int64_t now) {
  reap_drained();
  if (control < 0 || question_ != Question::none || pump_close(control, now)) return;
  for (auto& ticket : tickets_) {
    const bool again = ticket.state == State::refused && now >= ticket.retry_ns;
    if (ticket.state != State::wanted && !again) continue;
    shm::OpenChannelRequest request;
    request.upstream = ticket.upstream;
    request.flags = ticket.settings.flags;
    // With one question at a time this fails only when the engine is going: then the socket says so by itself.
    if (!shm::send_message(control, request)) return;
    ticket.state = State::asked;
    question_ = Question::open;
    asked_for_ = &ticket;
    return;
  }
}

bool ChannelRegistry::pump_close(int control, std::int64_t now) {
  if (to_close_.empty() || now < close_not_before_ns_) return false;
  shm::CloseChannelRequest request;
  request.channel = to_close_.back();
  if (!shm::send_message(control, request)) return false;
  to_close_.pop_back();
  closing_number_ = request.channel;
  question_ = Question::close;
  return true;
}

void ChannelRegistry::reap_drained() {
  OutcomeQueue nothing;  // what is drained has no open requests
  std::erase_if(draining_, [&](const std::unique_ptr<AttachedChannel>& channel) {
    if (channel->collect(nothing) && channel->engine_holds_slots()) return false;
    to_close_.push_back(channel->number());
    return true;
  });
}

std::int64_t ChannelRegistry::next_step_ns() const {
  if (question_ != Question::none) return kNever;
  auto next = to_close_.empty() ? kNever : close_not_before_ns_;
  for (const auto& ticket : tickets_) {
    if (ticket.state == State::refused) next = std::min(next, ticket.retry_ns);
  }
  return next;
}

}  // namespace tlsmux::client
