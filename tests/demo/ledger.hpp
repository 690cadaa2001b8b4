#pragma once

// What one authorizer did, request by request, in a file that it and the conductor map. What was written there stays
// when the authorizer is killed.

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shm/segment.hpp"

namespace tlsmux::demo {

enum class Fate : std::uint8_t {
  unsubmitted = 0,
  open = 1,  // handed over, or about to be
  answered = 2,
  not_sent = 3,
  maybe_sent = 4,
};

struct LedgerEntry {
  std::int64_t submitted_ns = 0;  // CLOCK_MONOTONIC
  std::uint32_t latency_us = 0;   // from then to the outcome
  std::uint16_t reason = 0;       // a tmx_reason
  std::uint8_t outcomes = 0;      // how many outcomes came: one is right
  Fate fate = Fate::unsubmitted;  // stored last, with release
};
static_assert(sizeof(LedgerEntry) == 16);

struct LedgerHeader {
  std::atomic<std::uint32_t> attached;
  std::atomic<std::uint32_t> reserved;
  std::atomic<std::uint64_t> submitted;
  std::atomic<std::uint64_t> answered;
  std::atomic<std::uint64_t> not_sent;
  std::atomic<std::uint64_t> maybe_sent;
  // Anonymous memory of the process before it attached and when all its requests had ended.
  std::atomic<std::uint64_t> anonymous_kb_before;
  std::atomic<std::uint64_t> anonymous_kb_after;
};

// Failures throw std::runtime_error.
class Ledger {
 public:
  static Ledger create(const std::string& path, std::uint32_t requests);
  static Ledger open(const std::string& path);

  [[nodiscard]] LedgerHeader& header() const { return *header_; }

  // The authorizer's: each request is begun, possibly taken back, and ended.
  void begin(std::uint64_t request, std::int64_t now_ns);
  void take_back(std::uint64_t request);
  void end(std::uint64_t request, Fate fate, std::uint16_t reason, std::int64_t now_ns);

  // A reader's: the requests up to the last one begun.
  [[nodiscard]] std::vector<LedgerEntry> entries() const;
  // When the first request begun at `since_ns` or later was answered; nothing if none was so far.
  [[nodiscard]] std::optional<std::int64_t> first_answer_ns(std::int64_t since_ns) const;

 private:
  explicit Ledger(shm::Mapping mapping);
  [[nodiscard]] LedgerEntry read(std::uint64_t request) const;

  shm::Mapping mapping_;
  LedgerHeader* header_ = nullptr;
  std::span<LedgerEntry> entries_;
};

}  // namespace tlsmux::demo
