#pragma once

// Who has asked for notices of what, the pairs of slots that they have lent for them, and what waits until there is
// one. Bookkeeping alone: what is brought to a client is the affair of `Notices`. No system call, no clock. One thread.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/shard/orphan_store.hpp"
#include "shm/control_protocol.hpp"

namespace tlsmux::engine {

struct LentPair {
  std::uint32_t request_slot = 0;
  std::uint32_t response_slot = 0;
  std::uint64_t generation = 0;
  std::uint64_t tag = 0;
};

// An open channel with flags.
struct Subscriber {
  std::uint32_t channel = 0;  // its ref
  std::uint64_t serial = 0;   // of this opening
  Lane lane;
  std::uint32_t flags = 0;    // shm::ChannelFlags
  std::deque<LentPair> lent;  // oldest first

  // To any of what others may get as well.
  [[nodiscard]] bool is_subscribed() const { return (flags & ~std::uint32_t{shm::kLateAnswers}) != 0; }
};

// A late answer or a host's message, until there is a pair for it.
struct WaitingNotice {
  std::uint64_t serial = 0;  // the opening that alone gets it; 0: any subscriber
  std::uint64_t tag = 0;     // of a late answer
  std::uint64_t notice = 0;  // of a host's message
  tls::SecretBytes message;
};

// Bounded by count and bytes.
class WaitingLine {
 public:
  // False: it is full.
  bool push(WaitingNotice notice);
  // The oldest for this subscriber: its own, or any one's if `shares`.
  std::optional<WaitingNotice> pop_for(const Subscriber& subscriber, bool shares);
  // All that are meant for this opening, or with 0 for any subscriber.
  std::vector<WaitingNotice> take_all(std::uint64_t serial);
  [[nodiscard]] bool empty() const { return notices_.empty(); }

 private:
  std::deque<WaitingNotice> notices_;
  std::size_t bytes_ = 0;
};

class Subscriptions {
 public:
  Subscriber& add(Subscriber subscriber);
  void remove(std::uint32_t channel);
  // Null when the channel has none, or is another opening by now. Without a serial: whichever.
  Subscriber* find(std::uint32_t channel, std::optional<std::uint64_t> serial = std::nullopt);

  // The first in the order of opening that has one of the flags and has lent a pair; null: none.
  Subscriber* with_room(Lane lane, std::uint32_t flags);
  [[nodiscard]] bool has_any(Lane lane, std::uint32_t flags) const;
  // Channels of the lane that are subscribed to anything.
  [[nodiscard]] std::uint32_t count(Lane lane) const;

  WaitingLine& late(Lane lane) { return late_[lane]; }
  // Of the group whose subscribers get what this upstream sends unasked.
  WaitingLine& unsolicited(Lane lane) { return unsolicited_[lane]; }

 private:
  std::unordered_map<std::uint32_t, Subscriber> subscribers_;  // by channel
  std::map<Lane, std::vector<std::uint32_t>> order_;           // of opening
  std::map<Lane, WaitingLine> late_;
  std::map<Lane, WaitingLine> unsolicited_;
};

}  // namespace tlsmux::engine
