#include "engine/shard/notices.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/control_protocol.hpp"
#include "shm/deliberate_bug.hpp"

namespace tlsmux::engine {

using shm::NoticeKind;

namespace {

tls::SecretBytes copy_of(std::span<const std::byte> bytes) {
  tls::SecretBytes copy(bytes.size());
  shm::copy_bytes(copy.bytes(), bytes);
  return copy;
}

// The multiplexer still waits for a late answer to it.
bool is_still_its(const mux::Multiplexer& multiplexer, const Told& told, std::uint32_t ref) {
  if (told.index == mux::kNone) return false;
  const auto& request = multiplexer.request(told.index);
  return request.state == mux::RequestState::abandoned && request.caller.channel == ref &&
         request.caller.request_slot == told.request_slot && request.caller.generation == told.generation;
}

}  // namespace

std::optional<std::uint32_t> Notices::subscriber_group(std::uint32_t upstream) const {
  const auto& settings = config_->upstreams[upstream];
  const auto& name = settings.subscriber_group.empty() ? settings.groups.front() : settings.subscriber_group;
  const auto group = std::ranges::find(config_->groups, name, &config::GroupSettings::name);
  if (group == config_->groups.end()) return std::nullopt;  // both were removed, and the upstream's sessions still end
  return static_cast<std::uint32_t>(group - config_->groups.begin());
}

// ---- From hosts ----

void Notices::late(const mux::Caller& caller, std::uint32_t upstream, std::uint32_t group,
                   std::span<const std::byte> message) {
  const Lane lane{.group = group, .upstream = upstream};
  if (mux::is_orphan(caller)) return orphans_->late(caller.generation, lane, caller.tag, message);
  auto* const own = subscriptions_.find(caller.channel, caller.serial);
  if (own == nullptr || (own->flags & shm::kLateAnswers) == 0) return share_out_late(lane, caller.tag, message);
  if (!own->lent.empty()) return deliver_late(*own, caller.tag, message);
  const bool waits = subscriptions_.late(lane).push(
      {.serial = own->serial, .tag = caller.tag, .notice = 0, .message = copy_of(message)});
  if (!waits) drop_late(lane);
}

void Notices::share_out_late(Lane lane, std::uint64_t tag, std::span<const std::byte> message) {
  if (auto* const subscriber = subscriptions_.with_room(lane, shm::kSubscribeLate)) {
    return deliver_late(*subscriber, tag, message);
  }
  const bool waits =
      subscriptions_.has_any(lane, shm::kSubscribeLate) &&
      subscriptions_.late(lane).push({.serial = 0, .tag = tag, .notice = 0, .message = copy_of(message)});
  if (!waits) drop_late(lane);
}

void Notices::unsolicited(std::uint32_t upstream, std::uint64_t notice, std::span<const std::byte> message) {
  const auto group = subscriber_group(upstream);
  if (!group) return;
  const Lane lane{.group = *group, .upstream = upstream};
  if (auto* const subscriber = subscriptions_.with_room(lane, shm::kSubscribeUnsolicited)) {
    return deliver_unsolicited(*subscriber, notice, message);
  }
  const bool waits =
      subscriptions_.has_any(lane, shm::kSubscribeUnsolicited) &&
      subscriptions_.unsolicited(lane).push({.serial = 0, .tag = 0, .notice = notice, .message = copy_of(message)});
  if (!waits) drop_unsolicited(lane);
}

// ---- To clients ----

void Notices::opened(const Client& client, std::uint32_t number) {
  const auto& channel = client.channels[number];
  if (channel.flags == 0) return;
  const Lane lane{.group = client.group, .upstream = channel.upstream};
  subscriptions_.add({.channel = channel_ref(client.index, number),
                      .serial = channel.serial,
                      .lane = lane,
                      .flags = channel.flags,
                      .lent = {}});
  changed_.insert(lane);
}

void Notices::lend(Client& client, std::uint32_t number, const LentPair& pair) {
  auto* const subscriber = subscriptions_.find(channel_ref(client.index, number));
  if (subscriber == nullptr) return;  // the client is parting, and gets nothing any more
  subscriber->lent.push_back(pair);
  ++client.channels[number].lent;
  client.changed = true;
  serve(*subscriber);
}

void Notices::serve(Subscriber& subscriber) {
  while (!subscriber.lent.empty() && serve_one(subscriber)) {
  }
}

// A host that waits for a reply comes first, an orphan, which nobody hurries, last.
bool Notices::serve_one(Subscriber& subscriber) {
  const auto lane = subscriber.lane;
  if ((subscriber.flags & shm::kSubscribeUnsolicited) != 0) {
    if (const auto waiting = subscriptions_.unsolicited(lane).pop_for(subscriber, true)) {
      deliver_unsolicited(subscriber, waiting->notice, waiting->message.bytes());
      return true;
    }
  }
  const bool shares = (subscriber.flags & shm::kSubscribeLate) != 0;
  if (const auto waiting = subscriptions_.late(lane).pop_for(subscriber, shares)) {
    deliver_late(subscriber, waiting->tag, waiting->message.bytes());
    return true;
  }
  const bool wants_orphans = (subscriber.flags & shm::kSubscribeOrphans) != 0;
  const auto orphan = wants_orphans ? orphans_->next(lane) : 0;
  if (orphan == 0) return false;
  deliver_orphan(subscriber, orphan);
  return true;
}

LentPair Notices::take_pair(Subscriber& subscriber) {
  const auto pair = subscriber.lent.front();
  if (TMX_HAS_BUG(lend_slot_twice) && subscriber.lent.size() % 4 == 0) return pair;
  subscriber.lent.pop_front();
  --clients_->channel_of(subscriber.channel).lent;
  return pair;
}

void Notices::deliver_late(Subscriber& subscriber, std::uint64_t tag, std::span<const std::byte> message) {
  outlet_->deliver(subscriber.channel, take_pair(subscriber), {.tag = tag, .notice_kind = NoticeKind::late}, {},
                   message);
}

void Notices::deliver_unsolicited(Subscriber& subscriber, std::uint64_t notice, std::span<const std::byte> message) {
  const auto upstream = subscriber.lane.upstream;
  if (given_.size() <= upstream) given_.resize(upstream + 1);
  auto& given = given_[upstream];
  if (given.empty()) given.resize(config::kHostRequestsKept);
  given[notice % given.size()] = {.notice = notice, .client = clients_->client_of(subscriber.channel).id};
  outlet_->deliver(subscriber.channel, take_pair(subscriber),
                   {.notice_kind = NoticeKind::unsolicited, .notice = notice}, {}, message);
}

bool Notices::was_given(std::uint32_t upstream, std::uint64_t notice, ClientId client) const {
  if (upstream >= given_.size() || given_[upstream].empty()) return false;
  const auto& given = given_[upstream][notice % given_[upstream].size()];
  return notice != 0 && given.notice == notice && given.client == client;
}

void Notices::deliver_orphan(Subscriber& subscriber, OrphanId id) {
  if (!TMX_HAS_BUG(orphan_twice) || id % 16 != 0) orphans_->deliver(id);
  const auto& orphan = orphans_->at(id);
  const auto pair = take_pair(subscriber);
  clients_->channel_of(subscriber.channel).orphan_of_slot[pair.request_slot] = id;
  outlet_->deliver(subscriber.channel, pair,
                   {.tag = orphan.tag,
                    .reason = orphan.reason,
                    .outcome = orphan.outcome,
                    .error_offset = orphan.error_offset,
                    .error_field = orphan.error_field,
                    .notice_kind = orphan.kind},
                   orphan.request.bytes(), orphan.answer.bytes());
}

void Notices::slot_used(Channel& channel, std::uint32_t slot) {
  const auto orphan = std::exchange(channel.orphan_of_slot[slot], 0);
  if (orphan != 0) orphans_->release(orphan);
}

void Notices::closed(const Client& client, std::uint32_t number) {
  auto& channel = clients_->channel_of(channel_ref(client.index, number));
  const auto* const subscriber = subscriptions_.find(channel_ref(client.index, number), channel.serial);
  if (subscriber == nullptr) return;
  const auto lane = subscriber->lane;
  const auto serial = subscriber->serial;
  subscriptions_.remove(subscriber->channel);
  channel.lent = 0;
  for (auto& orphan : channel.orphan_of_slot) {
    if (orphan != 0) orphans_->take_back(std::exchange(orphan, 0));
  }
  for (auto& waiting : subscriptions_.late(lane).take_all(serial)) {
    share_out_late(lane, waiting.tag, waiting.message.bytes());
  }
  forsake(lane);
  changed_.insert(lane);
}

// What waited for subscribers, once the last one is gone.
void Notices::forsake(Lane lane) {
  if (!subscriptions_.has_any(lane, shm::kSubscribeLate)) drop_late(lane, subscriptions_.late(lane).take_all(0).size());
  if (!subscriptions_.has_any(lane, shm::kSubscribeUnsolicited)) {
    drop_unsolicited(lane, subscriptions_.unsolicited(lane).take_all(0).size());
  }
}

// ---- From the dead ----

void Notices::keep_orphans(Client& client, std::uint32_t number, mux::Multiplexer& multiplexer) {
  auto& channel = client.channels[number];
  keep_unseen(client, number, multiplexer);
  keep_open(client, channel, multiplexer);
}

// Outcomes that lie on the completion ring or in the client's library. Which these are is the client's word; the rest
// is ours, except the outcomes that the library had decided.
void Notices::keep_unseen(const Client& client, std::uint32_t number, mux::Multiplexer& multiplexer) {
  const auto& channel = client.channels[number];
  const Lane lane{.group = client.group, .upstream = channel.upstream};
  for (const auto& told : channel.unseen()) {
    const auto request = channel.slot(told.request_slot).first(told.request_length);
    const auto id = orphans_->open(lane, told.tag, request);
    switch (told.outcome) {
      case shm::Outcome::answered: orphans_->answer(id, channel.slot(told.response_slot).first(told.length)); break;
      case shm::Outcome::not_sent:
        orphans_->refuse(id,
                         {.reason = told.reason, .error_field = told.error_field, .error_offset = told.error_offset});
        break;
      case shm::Outcome::maybe_sent: orphans_->lose(id, told.reason); break;
      case shm::Outcome::none: TMX_ASSERT(false);
    }
    if (id != 0 && is_still_its(multiplexer, told, channel_ref(client.index, number))) {
      multiplexer.orphan(told.index, {.channel = mux::kOrphanChannel, .generation = id, .tag = told.tag});
    }
  }
}

void Notices::keep_open(const Client& client, Channel& channel, mux::Multiplexer& multiplexer) {
  const Lane lane{.group = client.group, .upstream = channel.upstream};
  for (auto& place : channel.request_of_slot) {
    const auto index = std::exchange(place, mux::kNone);
    if (index == mux::kNone) continue;
    const auto& request = multiplexer.request(index);
    // Of a request that the client ended by itself the engine may not know yet.
    const bool is_seen = channel.is_marked_seen(request.caller.request_slot, request.caller.generation);
    if (is_seen || request.kind == mux::RequestKind::reply) {
      multiplexer.abandon(index, is_seen ? outlet_->own_reason(request.caller) : shm::Reason::client_died);
      continue;
    }
    auto bytes = multiplexer.copy_of(index);
    const auto id = orphans_->open(lane, request.caller.tag, bytes);
    tls::wipe(bytes);
    multiplexer.orphan(index, {.channel = mux::kOrphanChannel, .generation = id, .tag = request.caller.tag});
  }
}

// ---- Turns, counters ----

void Notices::work() {
  orphans_->tick();
  for (const auto lane : orphans_->take_fresh()) {
    while (auto* const subscriber = subscriptions_.with_room(lane, shm::kSubscribeOrphans)) {
      const auto orphan = orphans_->next(lane);
      if (orphan == 0) break;
      deliver_orphan(*subscriber, orphan);
    }
  }
  tell_drops();
}

NoticeCounts Notices::counts(Lane lane) const {
  const auto found = counts_.find(lane);
  return found == counts_.end() ? NoticeCounts{} : found->second;
}

void Notices::drop_late(Lane lane, std::uint64_t count) {
  if (count == 0) return;
  counts_[lane].late_dropped += count;
  changed_.insert(lane);
}

void Notices::drop_unsolicited(Lane lane, std::uint64_t count) {
  if (count == 0) return;
  counts_[lane].unsolicited_dropped += count;
  changed_.insert(lane);
}

void Notices::remove_group(std::uint32_t group) {
  tell_drops();
  for (const auto& [upstream, count] : orphans_->remove_group(group)) {
    events_->event({.kind = mux::EventKind::orphans_dropped,
                    .upstream = config_->upstreams[upstream].name,
                    .words = "the group was removed from the configuration",
                    .group = config_->groups[group].name,
                    .orphans = count});
  }
}

void Notices::tell_drops() {
  for (const auto& [drop, count] : orphans_->take_drops()) {
    events_->event({.kind = mux::EventKind::orphans_dropped,
                    .upstream = config_->upstreams[drop.lane.upstream].name,
                    .words = drop.too_old ? "nobody took them in age_max_s" : "the group holds count_max already",
                    .group = config_->groups[drop.lane.group].name,
                    .orphans = count});
  }
}

}  // namespace tlsmux::engine
