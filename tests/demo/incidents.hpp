#pragma once

// What the demo does to the running system half-way, one after the other, and how long the others notice it.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/demo/screen.hpp"
#include "tests/demo/stage.hpp"

namespace tlsmux::demo {

class Incidents {
 public:
  // Both must outlive it. `start_ns` is when the first request went out, by CLOCK_MONOTONIC.
  Incidents(Stage& stage, Screen& screen, std::int64_t start_ns);

  // To be called often: lets the next one happen once this share of the time is over and all is well after the one
  // before, and says so when all is well again. Throws std::runtime_error when that takes too long.
  void step(double share_of_time);

  // One has happened and its end is awaited.
  [[nodiscard]] bool is_waiting() const { return waiting_; }
  [[nodiscard]] bool all_over() const { return next_ == plan_.size() && !waiting_; }

 private:
  struct Incident {
    double share_of_time = 0;
    std::function<void()> strike;
    // Called once every survivor was answered, until it has words for what came of it.
    std::function<std::optional<std::string>(const std::string& answered)> outcome;
  };

  void kill_authorizer();
  void restart_host();
  std::optional<std::string> host_is_back(const std::string& answered);
  void kill_engine();
  std::optional<std::string> engine_is_back(const std::string& answered);

  // How long until each survivor was answered a request made since the incident: "21 ms".
  [[nodiscard]] std::optional<std::string> time_to_answers() const;
  [[nodiscard]] std::string since_strike(std::int64_t when_ns) const;
  [[nodiscard]] std::string survivors() const;

  Stage& stage_;
  Screen& screen_;
  std::int64_t start_ns_;
  std::vector<Incident> plan_;
  std::size_t next_ = 0;
  bool waiting_ = false;
  std::int64_t struck_ns_ = 0;
  std::uint64_t record_bytes_ = 0;  // of the restarted host, when it listened again
  pid_t killed_engine_ = 0;
};

}  // namespace tlsmux::demo
