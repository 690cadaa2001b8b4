#pragma once

// A group's subscriber, on a thread of its own: takes what nobody waits for, and answers some of what the host asks.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "config/config.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::test {

// By trace numbers.
struct TakenNotices {
  std::map<std::uint32_t, std::uint32_t> late;  // how often
  std::uint64_t late_of_dead = 0;               // of these, with the request's bytes
  std::set<std::uint32_t> orphans;
  std::map<std::string, std::uint64_t> orphan_outcomes;  // such as "MAYBE_SENT deadline"
  std::uint64_t host_requests = 0;
  std::uint64_t stray_answers = 0;  // that answer nothing
  std::uint64_t replies = 0;        // begun
  std::uint64_t replies_sent = 0;   // ended as they must
  std::string trouble;              // what must not be, in words

  [[nodiscard]] std::uint64_t orphans_with(const std::string& outcome) const;
  [[nodiscard]] std::uint64_t late_in_all() const;
};

inline const std::string kAnswered = "ANSWERED none";
inline const std::string kOverdue = "MAYBE_SENT deadline";

class Subscriber {
 public:
  // To the upstream "acquirer", for config.groups[group]. `flags` are those of tmx_channel_options. Every
  // `reply_every`th request of the host is answered; 0: none.
  Subscriber(const config::Config& config, std::size_t group, std::uint32_t flags, std::uint64_t reply_every = 0);
  // Closes its channel in good order.
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  [[nodiscard]] TakenNotices taken() const;

 private:
  void run();
  void take(const tmx_completion& completion);
  void take_orphan(const tmx_completion& completion);
  void take_unsolicited(const tmx_completion& completion);
  void reply(const tmx_completion& notice, const std::string& request);
  void say_trouble(const std::string& what);

  tmx_client* client_ = nullptr;
  tmx_channel* channel_ = nullptr;
  std::uint64_t reply_every_;
  std::atomic<bool> is_over_ = false;
  mutable std::mutex mutex_;  // of what follows
  TakenNotices taken_;
  std::thread thread_;
};

}  // namespace tlsmux::test
