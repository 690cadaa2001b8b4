#include "engine/control/detachment_log.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::engine::control {

bool DetachmentLog::Second::leaves_out() const {
  return std::ranges::any_of(reasons, [](const LeftOut& count) { return count.lines != 0; });
}

bool DetachmentLog::pass(std::string_view group, std::string_view reason, Clock::time_point now) {
  auto& second = second_of(group, now);
  auto& reasons = second.reasons;
  const auto count_of = [&reasons](std::string_view words) {
    return std::ranges::find(reasons, words, &LeftOut::reason);
  };
  const bool is_new = count_of(reason) == reasons.end() && reasons.size() < kReasonsMax;
  if (is_new) reasons.push_back({.group = second.group, .reason = std::string(reason)});
  if (is_new || second.passed < Throttle::kPerSecondMax) {
    ++second.passed;
    return true;
  }
  auto count = count_of(reason);
  if (count == reasons.end()) count = count_of(kOtherReasons);
  if (count == reasons.end()) count = reasons.insert(count, {.group = second.group, .reason = kOtherReasons});
  ++count->lines;
  return false;
}

bool DetachmentLog::pass_other(std::string_view group) {
  const auto second = std::ranges::find(seconds_, group, &Second::group);
  if (second == seconds_.end() || !second->leaves_out()) return true;
  ++second->others;
  return false;
}

std::optional<DetachmentLog::Clock::time_point> DetachmentLog::next_deadline() const {
  if (!due_.empty()) return Clock::time_point{};
  std::optional<Clock::time_point> next;
  for (const auto& second : seconds_) {
    if (second.leaves_out() && (!next || second.ends < *next)) next = second.ends;
  }
  return next;
}

std::vector<DetachmentLog::LeftOut> DetachmentLog::take_left_out(Clock::time_point now) {
  end_seconds(now);
  return std::exchange(due_, {});
}

DetachmentLog::Second& DetachmentLog::second_of(std::string_view group, Clock::time_point now) {
  end_seconds(now);
  const auto found = std::ranges::find(seconds_, group, &Second::group);
  if (found != seconds_.end()) return *found;
  return seconds_.emplace_back(Second{.group = std::string(group), .ends = now + std::chrono::seconds(1)});
}

void DetachmentLog::end_seconds(Clock::time_point now) {
  for (auto& second : seconds_) {
    if (now < second.ends) continue;
    for (auto& reason : second.reasons) {
      if (reason.lines != 0) due_.push_back(std::move(reason));
    }
    if (second.others != 0) due_.push_back({.group = second.group, .reason = {}, .lines = second.others});
  }
  std::erase_if(seconds_, [now](const Second& second) { return now >= second.ends; });
}

}  // namespace tlsmux::engine::control
