#pragma once

// One way of one relayed connection: bytes wait for their time, and pass in their order.

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>

#include "tests/faults/delay_proxy.hpp"

namespace tlsmux::test {

class ProxyLane {
 public:
  // The sockets are the connection's, and do not block.
  ProxyLane(int from, int to, std::optional<std::uint64_t> bytes_max)
      : from_(from), to_(to), passes_until_(bytes_max) {}

  // True while there is room for more.
  [[nodiscard]] bool wants_to_read() const { return !has_ended_ && waiting_ < kWaitingMax; }
  // True when the socket has to take something first.
  [[nodiscard]] bool waits_to_write() const { return is_blocked_; }
  // When something is due, in nanoseconds of the monotonic clock; nothing: nothing is.
  [[nodiscard]] std::optional<std::int64_t> due_ns() const;

  // False when the connection is broken.
  bool read(const WayFacts& facts, std::int64_t now_ns, std::mt19937& random);
  bool write(std::int64_t now_ns, bool hides_ends);

  void stall(std::uint64_t more_bytes) { passes_until_ = passed_ + more_bytes; }
  void go_on() { passes_until_.reset(); }
  void end();

  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  // The end has passed.
  [[nodiscard]] bool is_over() const { return is_over_; }

 private:
  static constexpr std::size_t kWaitingMax = 256 * 1024;
  struct Part {
    std::int64_t due_ns = 0;
    std::string bytes;  // none: the end
  };

  int from_;
  int to_;
  std::optional<std::uint64_t> passes_until_;
  std::deque<Part> parts_;
  std::int64_t last_due_ns_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t passed_ = 0;
  bool has_ended_ = false;
  bool is_blocked_ = false;
  bool is_over_ = false;
};

}  // namespace tlsmux::test
