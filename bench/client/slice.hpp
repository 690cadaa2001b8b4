#pragma once

// What a client does in one slice of time, apart from how its bytes travel: makes requests, checks answers, takes times.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "bench/board.hpp"
#include "bench/message.hpp"
#include "bench/monotonic_clock.hpp"

namespace tlsmux::bench {

inline constexpr std::uint32_t kInFlightMax = 256;  // a power of two

// Which requests of a client are open. Lives as long as the client, so that no key comes twice.
class OpenRequests {
 public:
  // `client` is different from that of every other client that the host sees at one time.
  explicit OpenRequests(std::uint64_t client) : client_(client), open_(std::make_unique<Open[]>(kInFlightMax)) {}

 private:
  friend class Slice;
  struct Open {
    std::uint64_t sequence = 0;  // 0: none
    std::uint64_t sent_ns = 0;
    std::uint32_t bytes = 0;
    std::uint32_t delay_us = 0;
  };
  std::uint64_t client_;
  std::uint64_t next_sequence_ = 1;
  std::unique_ptr<Open[]> open_;
};

class Slice {
 public:
  // All three outlive it.
  Slice(const Task& task, Place& place, std::span<std::uint32_t> samples, OpenRequests& requests)
      : task_(task), place_(place), samples_(samples), requests_(requests), now_ns_(bench::now_ns()) {
    place_ = {};
  }

  [[nodiscard]] std::uint32_t window() const { return task_.in_flight; }
  [[nodiscard]] bool is_batched() const { return task_.is_batched != 0; }
  [[nodiscard]] std::uint32_t in_flight() const { return in_flight_; }
  // Another request may be made.
  [[nodiscard]] bool wants_more() const {
    return in_flight_ < task_.in_flight && now_ns_ < task_.end_ns && place_.errors == 0 &&
           (task_.requests_max == 0 || made_ < task_.requests_max);
  }

  // Reads the clock. All requests and answers up to the next call have this time.
  void look_at_clock() { now_ns_ = bench::now_ns(); }

  // How long the next request will be.
  [[nodiscard]] std::size_t next_bytes() const { return in_range(task_.message_bytes_min, task_.message_bytes_max, 0); }
  // Writes it to `to`, of next_bytes(), and counts it as open; returns its sequence number.
  std::uint64_t next_request(std::span<std::byte> to) {
    const auto sequence = requests_.next_sequence_++;
    const auto delay_us = in_range(task_.delay_us_min, task_.delay_us_max, 1, sequence);
    requests_.open_[sequence % kInFlightMax] = {
        .sequence = sequence, .sent_ns = now_ns_, .bytes = static_cast<std::uint32_t>(to.size()), .delay_us = delay_us};
    write_request({.client = requests_.client_, .sequence = sequence, .delay_us = delay_us}, to);
    ++in_flight_;
    ++made_;
    return sequence;
  }

  // A message from the host.
  void take_answer(std::span<const std::byte> answer) {
    if (answer.size() < kMessageHeadBytes) return fail("an answer is too short");
    const auto sequence = sequence_of(answer);
    auto& open = requests_.open_[sequence % kInFlightMax];
    if (sequence == 0 || open.sequence != sequence) return fail("an answer to nothing that was asked");
    open.sequence = 0;
    --in_flight_;
    const MessageFacts facts{.client = requests_.client_, .sequence = sequence, .delay_us = open.delay_us};
    if (!is_answer_to(facts, open.bytes, answer)) return fail("an answer's content is wrong");
    count(open.sent_ns, answer.size());
  }

  // A request ended in another way, or the connection is lost: the slice ends.
  void fail(std::string_view what) {
    if (place_.errors++ > 0) return;
    what.copy(place_.error_text.data(), place_.error_text.size() - 1);
  }
  // Nothing more will come.
  [[nodiscard]] bool has_failed() const { return place_.errors > 0; }

 private:
  // Chosen by the number of the request alone, so that every system gets the same ones.
  [[nodiscard]] std::uint32_t in_range(std::uint32_t least, std::uint32_t most, std::uint64_t salt) const {
    return in_range(least, most, salt, requests_.next_sequence_);
  }
  static std::uint32_t in_range(std::uint32_t least, std::uint32_t most, std::uint64_t salt, std::uint64_t sequence) {
    if (least == most) return least;
    return least + static_cast<std::uint32_t>(scatter(sequence * 2 + salt) % (most - least + 1));
  }

  void count(std::uint64_t sent_ns, std::size_t bytes) {
    ++place_.answered;
    if (now_ns_ < task_.start_ns || now_ns_ >= task_.end_ns) return;
    ++place_.in_window;
    place_.bytes_in_window += bytes;
    if (place_.sample_count == samples_.size()) return;
    const auto latency_ns = now_ns_ - sent_ns;
    samples_[place_.sample_count++] = static_cast<std::uint32_t>(latency_ns < UINT32_MAX ? latency_ns : UINT32_MAX);
  }

  const Task& task_;
  Place& place_;
  std::span<std::uint32_t> samples_;
  OpenRequests& requests_;
  std::uint64_t now_ns_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t made_ = 0;
};

}  // namespace tlsmux::bench
