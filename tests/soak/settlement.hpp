#pragma once

// Holds what clients were told against what the hosts have recorded, for a run of any length: it keeps two phases. What
// the hosts receive of one phase's requests comes in that phase or in the next.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/system/ledger.hpp"

namespace tlsmux::soak {

// Clients with numbers from here on ask in ISO 8583: client and sequence are authorizer and request of
// tests/demo/purchase.hpp, of which a number comes again when it has been used up, many phases later.
inline constexpr std::uint32_t kIsoClients = 0xffff'0000;

struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t answered = 0;
  std::uint64_t not_sent = 0;
  std::uint64_t maybe_sent = 0;
  std::uint64_t refused = 0;  // at once, by an errno
  std::uint64_t received = 0;
  std::uint64_t false_outcomes = 0;
};

class Settlement {
 public:
  // The files that the hosts record in, to which they append. What was read of one is taken off the disk.
  explicit Settlement(std::vector<std::string> records);

  // The requests that have ended since the last call, when no more are under way. Settles those of the phase before.
  // What cannot be true, in words.
  std::vector<std::string> end_phase(std::vector<test::LedgerEntry> entries);
  // Settles the last phase, after the hosts have ended.
  std::vector<std::string> finish() { return end_phase({}); }

  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  using Receipts = std::map<std::string, test::Receipt>;
  struct Record {
    std::string path;
    std::uint64_t offset = 0;
  };

  Receipts read_records();
  void count(const std::vector<test::LedgerEntry>& entries);

  std::vector<Record> records_;
  std::vector<test::LedgerEntry> entries_;  // of the phase before
  Receipts receipts_;
  Tally tally_;
};

}  // namespace tlsmux::soak
