#include "engine/message/framing_boundary.hpp"

namespace tlsmux::engine::message {

void FramingBoundary::sent(std::span<const std::byte> bytes) {
  has_sent_ = has_sent_ || !bytes.empty();
  if (is_lost_) return;
  is_lost_ = !questions_.feed(bytes, [this](const Frame& /*question*/) { ++unanswered_; });
}

void FramingBoundary::received(std::span<const std::byte> bytes) {
  if (is_lost_) return;
  bool is_unasked = false;
  const auto fed = answers_.feed(bytes, [&](const Frame& /*answer*/) {
    if (unanswered_ == 0) {
      is_unasked = true;
    } else {
      --unanswered_;
    }
  });
  is_lost_ = !fed || is_unasked;
}

bool FramingBoundary::is_clean() const {
  return !is_lost_ && unanswered_ == 0 && questions_.at_boundary() && answers_.at_boundary();
}

bool FramingBoundary::is_owed() const { return is_owed_at_end() || (!is_lost_ && !questions_.at_boundary()); }

bool FramingBoundary::is_owed_at_end() const {
  return is_lost_ ? has_sent_ : unanswered_ > 0 || !answers_.at_boundary();
}

}  // namespace tlsmux::engine::message
