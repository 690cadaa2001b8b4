// What a client process does with notices.

#include "tests/simulation/client_process.hpp"
#include "tests/simulation/message.hpp"

namespace tlsmux::simulation {

// Half of the channels take notices, of some kinds.
std::uint32_t ClientProcess::some_flags(std::uint32_t upstream) {
  if (context_.random.below(2) == 0) return 0;
  auto flags = static_cast<std::uint32_t>(context_.random.below(16));
  const auto& settings = context_.upstream(upstream);
  if (settings.subscriber_group != context_.config.groups[group_].name) flags &= ~shm::kSubscribeUnsolicited;
  return flags;
}

void ClientProcess::lend(Channel& channel) {
  if (!channel.attached->lend() && !mad_) throw Violation("the engine wrote an impossible position into a ring");
}

// To what the host has sent unasked, with a message that answers nothing.
void ClientProcess::reply(Channel& channel, const client::RequestOutcome& notice) {
  auto& attached = *channel.attached;
  if (!attached.has_free_slots() || attached.in_flight() + channel.outcomes.outcomes() >= attached.in_flight_max()) {
    return;
  }
  const std::size_t key_offset = context_.upstream(channel.upstream).correlation.offset;
  const RequestText text{.number = context_.ledger.size() + 1,
                         .key = context_.ledger.size() + 1,
                         .key_offset = key_offset,
                         .length = key_offset + kRequestBytesMin};
  const std::span message(notice.data, notice.length);
  const auto number = context_.ledger.submit({.client = number_,
                                              .group = group_,
                                              .engine = engine_ == nullptr ? 0 : engine_->number(),
                                              .upstream = channel.upstream,
                                              .in_order = context_.in_order(channel.upstream),
                                              .key = text.key,
                                              .key_offset = key_offset,
                                              .length = text.length,
                                              .is_reply = true,
                                              .reply_connections = context_.ledger.connections_of(message)});
  const auto use = attached.reserve();
  write_request(attached.slot_bytes(use.slot).first(text.length), text);
  push(channel, number,
       {.use = use,
        .length = static_cast<std::uint32_t>(text.length),
        .tag = number,
        .operation = shm::Operation::reply,
        .notice = notice.notice});
  attached.publish();
}

// Of a stream's message the tag means nothing; the answer itself says what it answers, unless the host mixes them up.
void ClientProcess::hear_late(const Channel& channel, std::uint64_t tag, std::span<const std::byte> message) {
  auto& ledger = context_.ledger;
  const auto upstream = channel.upstream;
  if (context_.has_streams && context_.may_be_in_order(upstream) && ledger.has_lied(upstream)) return;
  const auto number = number_in(message, context_.upstream(upstream).correlation.offset);
  const bool is_of_stream = number && ledger.knows(*number) && ledger.is_of_stream(*number);
  ledger.late(is_of_stream ? *number : tag, {.opening = channel.opening, .group = group_, .upstream = upstream},
              message);
}

void ClientProcess::hear(Channel& channel, const client::RequestOutcome& notice) {
  const std::span message(notice.data, notice.length);
  const Receiver receiver{.opening = channel.opening, .group = group_, .upstream = channel.upstream};
  context_.trace("client " + std::to_string(number_) + " gets a notice of kind " +
                 std::to_string(static_cast<int>(notice.kind)) + ", tag " + std::to_string(notice.tag));
  channel.held.push_back({.use = notice.answer.use, .bytes = message, .digest = digest_of(message)});
  if (mad_) return;
  const auto wants = [&](std::uint32_t flags) {
    if ((channel.flags & flags) == 0) throw Violation("a channel gets a notice that it did not ask for");
  };
  switch (notice.kind) {
    case shm::NoticeKind::late:
      wants(shm::kLateAnswers | shm::kSubscribeLate | shm::kSubscribeOrphans);
      context_.note(Seen::late_answer);
      return hear_late(channel, notice.tag, message);
    case shm::NoticeKind::orphan:
      wants(shm::kSubscribeOrphans);
      context_.note(Seen::orphan);
      return context_.ledger.orphaned(notice.tag, receiver, {notice.outcome, notice.reason},
                                      {notice.request_data, notice.request_length}, message);
    case shm::NoticeKind::unsolicited:
      wants(shm::kSubscribeUnsolicited);
      context_.note(Seen::unsolicited_message);
      if (engine_ != nullptr && conduct_.submits && context_.random.below(2) == 0) reply(channel, notice);
      return;
    case shm::NoticeKind::none: throw Violation("a notice of no kind");
  }
}

}  // namespace tlsmux::simulation
