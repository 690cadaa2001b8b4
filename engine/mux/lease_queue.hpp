#pragma once

// The streams of one upstream that wait for a session. Groups have their turns, and within a group who came first is
// first. Few wait at one time, at most streams.open_max.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/mux/ids.hpp"

namespace tlsmux::engine::mux {

struct WaitingStream {
  StreamId stream;
  std::uint32_t group = 0;
  std::uint64_t deadline_ns = 0;
  std::string alpn;  // as in NewLease
};

class LeaseQueue {
 public:
  explicit LeaseQueue(std::size_t groups) : groups_(groups) {}

  // So many groups from now on; never fewer than before.
  void set_groups(std::size_t groups) { groups_.resize(groups); }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  void push(WaitingStream stream);
  // Whose turn it is, but for the groups that are `passed_over`, by index; null: nobody else waits.
  [[nodiscard]] const WaitingStream* front(const std::vector<bool>& passed_over = {}) const;
  // That one; then it is the next group's turn. Requires that it waits.
  WaitingStream take(const WaitingStream& front);
  // Wherever it is; costs nobody a turn.
  void remove(StreamId stream);
  // One whose time is over, if there is any.
  std::optional<WaitingStream> take_overdue(std::uint64_t now_ns);
  // 0: nobody waits.
  [[nodiscard]] std::uint64_t earliest_deadline_ns() const;

 private:
  std::vector<std::deque<WaitingStream>> groups_;
  std::size_t turn_ = 0;
  std::size_t size_ = 0;
};

}  // namespace tlsmux::engine::mux
