#pragma once

// Memory that the soak shares with its residents: what they have done, how long it took, and when they rest.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "shm/latency_histogram.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::soak {

inline constexpr std::size_t kResidentsMax = 16;

enum class Deed : std::uint8_t { calls, iso8583_calls, stream_exchanges, leased_exchanges, ports_taken, count };
using DeedCounts = std::array<std::uint64_t, static_cast<std::size_t>(Deed::count)>;

// One resident's.
struct BoardLine {
  std::atomic<std::uint64_t> rests{};  // the number of the rest that it is in, or was in last
  std::array<char, 160> trouble{};     // written once, before it ends
};

struct BoardContent {
  std::atomic<std::uint64_t> rest{};  // the number of the present or last one
  std::atomic<bool> ended{};
  std::array<BoardLine, kResidentsMax> lines{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Deed::count)> deeds{};
  std::array<std::atomic<std::uint64_t>, shm::kHistogramBuckets> latency{};  // of answered calls
};

class Board {
 public:
  Board();
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // The soak's side. Residents rest at first.
  void let_work();
  void let_rest();
  void let_end();
  [[nodiscard]] bool all_rest(std::size_t residents) const;
  [[nodiscard]] std::string trouble(std::size_t resident) const;
  [[nodiscard]] DeedCounts deeds() const;
  // Since the last call.
  shm::LatencyCounts take_latencies();

  // A resident's side.
  [[nodiscard]] bool is_time_to_rest() const;
  // Returns when there is work again; false: the resident is to end.
  bool rest(std::size_t resident);
  void count(Deed deed);
  void add_latency(std::uint64_t ns);
  void set_trouble(std::size_t resident, std::string_view words);

 private:
  shm::UniqueFd gate_;  // readable while there is work
  BoardContent* content_;
};

}  // namespace tlsmux::soak
