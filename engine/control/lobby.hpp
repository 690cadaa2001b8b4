#pragma once

// Connections that are not clients yet. They are bounded and have little time, and one user cannot keep the others out:
// when the lobby is full, the user with the most connections in it loses his newest. The bounds leave room for all
// clients of a big farm coming back at once after an engine's death, since each asks as soon as it is connected. No
// system calls here.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tlsmux::engine::control {

class Lobby {
 public:
  using Clock = std::chrono::steady_clock;
  using Id = std::uint64_t;

  static constexpr std::size_t kConnectionsMax = 512;
  static constexpr std::size_t kConnectionsPerUserMax = 128;
  static constexpr std::chrono::seconds kTimeToAsk{2};
  static constexpr std::chrono::seconds kTimeToMap{5};

  // Returns who has to leave for it, maybe itself.
  std::optional<Id> enter(Id id, std::uint32_t uid, Clock::time_point now);
  // It is a member and maps its memory: no longer counted, still on the clock.
  void admit(Id id, Clock::time_point now);
  void leave(Id id);

  // The newest of those that have not been admitted.
  [[nodiscard]] std::optional<Id> newest() const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  [[nodiscard]] std::vector<Id> expired(Clock::time_point now) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Id id = 0;
    std::uint32_t uid = 0;
    bool admitted = false;
    Clock::time_point deadline;
  };

  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t waiting_of(std::uint32_t uid) const;
  [[nodiscard]] std::optional<Id> newest_of_greediest() const;

  std::vector<Entry> entries_;  // in the order of entering
};

}  // namespace tlsmux::engine::control
