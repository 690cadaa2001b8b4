#pragma once

// Before Linux 6.16 a socket cannot refuse descriptors (shm/system/descriptor_refusal.hpp). Whoever receives a message with some, or
// closes a socket with such messages unread, closes them, and is kept for as long as a socket among them lingers (SO_LINGER): until
// it has nothing left to send, or its sender's time is over, or a signal is pending. This sends one to its thread, again and again
// while that is at it, so that all descriptors of a message or a socket together take no longer than kPeriod.
//
// They must not get into the table of descriptors: closing what is there may ask the sender's own file system first.

#include <chrono>
#include <ctime>

#include "engine/log/log.hpp"

namespace tlsmux::engine::control {

// SIGALRM is its own; nobody else in the process uses that.
class LingerLimit {
 public:
  static constexpr std::chrono::microseconds kPeriod{200};

  // For the calling thread. Does nothing unless `is_needed`, or if the kernel has no timer left (is_missing).
  explicit LingerLimit(bool is_needed);
  ~LingerLimit();
  LingerLimit(const LingerLimit&) = delete;
  LingerLimit& operator=(const LingerLimit&) = delete;

  [[nodiscard]] bool is_missing() const { return error_ != 0; }
  // Says so, if it is.
  void report_lack(Log& log) const;

  // Around each call that may close descriptors of clients.
  void begin() const;
  void end() const;

 private:
  bool has_timer_ = false;
  int error_ = 0;
  timer_t timer_{};
};

class Unlingering {
 public:
  explicit Unlingering(const LingerLimit& limit) : limit_(limit) { limit_.begin(); }
  ~Unlingering() { limit_.end(); }
  Unlingering(const Unlingering&) = delete;
  Unlingering& operator=(const Unlingering&) = delete;

 private:
  const LingerLimit& limit_;
};

}  // namespace tlsmux::engine::control
