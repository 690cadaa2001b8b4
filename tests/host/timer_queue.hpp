#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tlsmux::host {

// What is to happen to a connection at a later time. Those due at the same time happen in the order they were
// added.
struct Timer {
  enum class Kind : std::uint8_t {
    answer,
    linger_end,
    handshake_start,
    keep_alive,   // to be sent, and again later
    own_message,  // likewise
    shuffle_end   // of no connection: what the shuffle window holds is to be sent
  };

  std::uint64_t due_ns = 0;
  std::uint64_t connection = 0;
  Kind kind = Kind::answer;
  std::string bytes = {};  // the framed answer
  std::uint64_t order = 0;
  std::uint64_t window = 0;  // for shuffle_end: which filling of the window it ends
};

class TimerQueue {
 public:
  void add(Timer timer) {
    timer.order = ++added_;
    heap_.push_back(std::move(timer));
    std::ranges::push_heap(heap_, later);
  }

  [[nodiscard]] std::optional<std::uint64_t> next_due_ns() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().due_ns);
  }

  // The earliest timer that is due at `now_ns`, removed.
  std::optional<Timer> take_due(std::uint64_t now_ns) {
    if (heap_.empty() || heap_.front().due_ns > now_ns) return std::nullopt;
    std::ranges::pop_heap(heap_, later);
    Timer timer = std::move(heap_.back());
    heap_.pop_back();
    return timer;
  }

 private:
  static bool later(const Timer& a, const Timer& b) {
    return std::pair(a.due_ns, a.order) > std::pair(b.due_ns, b.order);
  }

  std::vector<Timer> heap_;
  std::uint64_t added_ = 0;
};

}  // namespace tlsmux::host
