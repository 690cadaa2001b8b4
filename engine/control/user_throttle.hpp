#pragma once

// A Throttle for each user, so that what one causes hides no line about another. Of those beyond kUsersMax within a second, all have one.

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "engine/control/throttle.hpp"

namespace tlsmux::engine::control {

class UserThrottle {
 public:
  using Clock = Throttle::Clock;

  static constexpr std::size_t kUsersMax = 32;

  // How many of this user's were held back since the last one that passed, if this one passes.
  std::optional<std::uint64_t> pass(uid_t uid, Clock::time_point now) {
    const auto found = users_.find(uid);
    if (found != users_.end()) return pass(found->second, now);
    if (users_.size() == kUsersMax) {
      std::erase_if(users_, [now](const auto& user) { return now - user.second.last >= std::chrono::seconds(1); });
    }
    return users_.size() < kUsersMax ? pass(users_[uid], now) : others_.pass(now);
  }

 private:
  struct User {
    Throttle throttle;
    Clock::time_point last;
  };

  static std::optional<std::uint64_t> pass(User& user, Clock::time_point now) {
    user.last = now;
    return user.throttle.pass(now);
  }

  std::unordered_map<uid_t, User> users_;
  Throttle others_;
};

}  // namespace tlsmux::engine::control
