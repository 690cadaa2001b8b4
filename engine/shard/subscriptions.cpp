#include "engine/shard/subscriptions.hpp"

#include <algorithm>

#include "config/limits.hpp"

namespace tlsmux::engine {

bool WaitingLine::push(WaitingNotice notice) {
  const auto bytes = notice.message.bytes().size();
  const bool is_too_much = bytes_ + bytes > config::kNoticeBytesWaitingMax && !notices_.empty();
  if (notices_.size() >= config::kNoticesWaitingMax || is_too_much) return false;
  bytes_ += bytes;
  notices_.push_back(std::move(notice));
  return true;
}

std::optional<WaitingNotice> WaitingLine::pop_for(const Subscriber& subscriber, bool shares) {
  const auto found = std::ranges::find_if(notices_, [&](const WaitingNotice& notice) {
    return notice.serial == 0 ? shares : notice.serial == subscriber.serial;
  });
  if (found == notices_.end()) return std::nullopt;
  auto notice = std::move(*found);
  notices_.erase(found);
  bytes_ -= notice.message.bytes().size();
  return notice;
}

std::vector<WaitingNotice> WaitingLine::take_all(std::uint64_t serial) {
  std::vector<WaitingNotice> taken;
  std::deque<WaitingNotice> left;
  for (auto& notice : notices_) {
    if (notice.serial == serial) {
      bytes_ -= notice.message.bytes().size();
      taken.push_back(std::move(notice));
    } else {
      left.push_back(std::move(notice));
    }
  }
  notices_ = std::move(left);
  return taken;
}

Subscriber& Subscriptions::add(Subscriber subscriber) {
  const auto channel = subscriber.channel;
  order_[subscriber.lane].push_back(channel);
  return subscribers_.insert_or_assign(channel, std::move(subscriber)).first->second;
}

void Subscriptions::remove(std::uint32_t channel) {
  const auto found = subscribers_.find(channel);
  if (found == subscribers_.end()) return;
  std::erase(order_[found->second.lane], channel);
  subscribers_.erase(found);
}

Subscriber* Subscriptions::find(std::uint32_t channel, std::optional<std::uint64_t> serial) {
  const auto found = subscribers_.find(channel);
  if (found == subscribers_.end() || (serial && found->second.serial != *serial)) return nullptr;
  return &found->second;
}

Subscriber* Subscriptions::with_room(Lane lane, std::uint32_t flags) {
  const auto channels = order_.find(lane);
  if (channels == order_.end()) return nullptr;
  for (const auto channel : channels->second) {
    auto& subscriber = subscribers_.at(channel);
    if ((subscriber.flags & flags) != 0 && !subscriber.lent.empty()) return &subscriber;
  }
  return nullptr;
}

bool Subscriptions::has_any(Lane lane, std::uint32_t flags) const {
  const auto channels = order_.find(lane);
  return channels != order_.end() && std::ranges::any_of(channels->second, [&](std::uint32_t channel) {
           return (subscribers_.at(channel).flags & flags) != 0;
         });
}

std::uint32_t Subscriptions::count(Lane lane) const {
  const auto channels = order_.find(lane);
  if (channels == order_.end()) return 0;
  return static_cast<std::uint32_t>(std::ranges::count_if(
      channels->second, [&](std::uint32_t channel) { return subscribers_.at(channel).is_subscribed(); }));
}

}  // namespace tlsmux::engine
