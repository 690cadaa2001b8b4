#pragma once

// How long to wait for an engine that owes an answer: as long as it shows signs of life. Its data loops beat in the groups'
// tables, also while its control thread reads files for a refresh and answers nobody. Where no tables are found, an
// answer on the control socket is a sign.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/observe.hpp"

namespace tlsmux::client::cli {

struct PatienceLimits {
  std::chrono::seconds said_every{10};  // of silence
  std::chrono::seconds ends_after{60};  // of silence
};

class EnginePatience {
 public:
  // `now_ns` is CLOCK_MONOTONIC, here and below.
  EnginePatience(std::string control_socket, std::uint64_t now_ns, PatienceLimits limits = {});

  struct Verdict {
    bool is_alive = true;
    bool waits_on = true;
    std::string words;  // for people, without an end of line; empty: nothing new
  };
  // No answer has come yet. Blocks for some seconds at the most.
  Verdict look(std::uint64_t now_ns);

  // As far as they were found by then.
  [[nodiscard]] const std::vector<ObservedGroup>& groups() const { return groups_; }

 private:
  // True: it answers.
  bool ask_for_groups();
  void find_left_groups();
  [[nodiscard]] std::uint64_t last_beat_ns() const;
  [[nodiscard]] std::string silence_text(std::uint64_t now_ns) const;

  std::string control_socket_;
  PatienceLimits limits_;
  std::uint64_t last_sign_ns_;
  std::uint64_t words_due_ns_;  // of silence
  std::vector<ObservedGroup> groups_;
};

}  // namespace tlsmux::client::cli
