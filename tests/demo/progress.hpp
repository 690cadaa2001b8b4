#pragma once

// How far the authorizers are: a block drawn a few times a second on a terminal, a line every two seconds elsewhere.

#include <chrono>
#include <cstdint>
#include <deque>

#include "tests/demo/screen.hpp"
#include "tests/demo/stage.hpp"

namespace tlsmux::demo {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress(Stage& stage, Screen& screen, const Options& options, Clock::time_point start);

  // To be called often; draws when it is time to.
  void show(Clock::time_point now);

 private:
  struct Counts {
    std::uint64_t submitted = 0;
    std::uint64_t answered = 0;
    std::uint64_t not_sent = 0;
    std::uint64_t maybe_sent = 0;
    [[nodiscard]] std::uint64_t in_flight() const { return submitted - answered - not_sent - maybe_sent; }
  };
  struct Sample {
    Clock::time_point time;
    std::uint64_t answered = 0;
  };

  [[nodiscard]] Counts counts_of(const AuthorizerProcess& authorizer) const;
  [[nodiscard]] Counts all_counts() const;
  [[nodiscard]] std::uint64_t answers_per_second() const;
  [[nodiscard]] std::string engine_words() const;
  void draw_block(double seconds, const Counts& all);
  void say_line(double seconds, const Counts& all);

  Stage& stage_;
  Screen& screen_;
  const Options& options_;
  Clock::time_point start_;
  Clock::time_point next_;
  std::deque<Sample> samples_;  // of the last second
};

}  // namespace tlsmux::demo
