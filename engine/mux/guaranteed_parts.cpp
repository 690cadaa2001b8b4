#include "engine/mux/guaranteed_parts.hpp"

#include <algorithm>

namespace tlsmux::engine::mux {

GuaranteedParts::GuaranteedParts(const Upstream& upstream, std::size_t capacity)
    : upstream_(&upstream),
      capacity_(capacity),
      guaranteed_(capacity / (2 * std::max<std::size_t>(upstream.settings->groups.size(), 1))),
      lacking_(guaranteed_ * upstream.settings->groups.size()) {}

void GuaranteedParts::hold(std::uint32_t group, std::size_t count) {
  taken_ += count;
  if (upstream_->is_shut_out(group)) return;
  if (group >= held_.size()) held_.resize(group + 1);
  const auto before = std::min(held_[group], guaranteed_);
  held_[group] += count;
  lacking_ -= std::min(lacking_, std::min(held_[group], guaranteed_) - before);
}

bool GuaranteedParts::may_have_another(std::uint32_t group) const {
  const auto own = group < held_.size() ? held_[group] : 0;
  return own < guaranteed_ || lacking_ == 0 || taken_ + lacking_ < capacity_;
}

}  // namespace tlsmux::engine::mux
