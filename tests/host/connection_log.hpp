#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/host/report.hpp"

namespace tlsmux::host {

// What the report says of single connections: the first 10,000 of them.
class ConnectionLog {
 public:
  // Connections are opened in the order of their numbers, from 1.
  ConnectionEntry& open(std::uint64_t number, std::string source, std::uint64_t now_us) {
    if (number > kEntriesMax) return other_;
    ConnectionEntry entry;
    entry.number = number;
    entry.source = std::move(source);
    entry.opened_us = now_us;
    return entries_.emplace_back(std::move(entry));
  }
  // For those that are not listed, one that nobody reads.
  ConnectionEntry& entry(std::uint64_t number) { return number > kEntriesMax ? other_ : entries_[number - 1]; }

  void end(std::uint64_t number, const char* how, std::uint64_t now_us) {
    ConnectionEntry& ended = entry(number);
    if (ended.ended_us != 0) return;
    ended.end = how;
    ended.ended_us = now_us;
  }

  [[nodiscard]] const std::vector<ConnectionEntry>& entries() const { return entries_; }

 private:
  static constexpr std::uint64_t kEntriesMax = 10'000;

  std::vector<ConnectionEntry> entries_;
  ConnectionEntry other_;
};

}  // namespace tlsmux::host
