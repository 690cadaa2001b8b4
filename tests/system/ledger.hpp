#pragma once

// What clients say became of their requests, and whether the hosts' records bear it out.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/system/host_record.hpp"

namespace tlsmux::test {

enum class Fate : std::uint8_t { not_submitted = 0, answered = 1, not_sent = 2, maybe_sent = 3 };

struct LedgerEntry {
  std::uint64_t sequence = 0;
  std::uint32_t client = 0;
  std::uint32_t bytes = 0;
  std::uint64_t hash = 0;
  Fate fate{};
  std::uint8_t reserved0 = 0;
  std::uint16_t reason = 0;
  std::uint32_t reserved1 = 0;
};
static_assert(sizeof(LedgerEntry) == 32);

// Appends to a file that outlives the process. Without a path it keeps nothing.
class Ledger {
 public:
  explicit Ledger(const std::string& path);
  void add(const LedgerEntry& entry);
  // Of what was added nothing is lost when the process is killed from here on.
  void flush();

 private:
  shm::UniqueFd file_;
  std::vector<LedgerEntry> entries_;
};

std::vector<LedgerEntry> read_ledgers(const std::vector<std::string>& paths);

// The 16 bytes that a message of this client begins with, in hex as in the hosts' records.
std::string key_text(std::uint32_t client, std::uint64_t sequence);

// Why the request's fate and what became of it at the hosts, if anything, cannot both be true; empty if they can.
std::string contradiction(const LedgerEntry& entry, const Receipt* receipt);

// What cannot both be true, in words; empty if all agrees:
//  - what was answered was received, once and as it was written;
//  - what was not sent or not submitted was never received;
//  - no request was received twice or ended twice.
std::vector<std::string> contradictions(const std::vector<LedgerEntry>& entries,
                                        const std::map<std::string, Receipt>& receipts);

}  // namespace tlsmux::test
