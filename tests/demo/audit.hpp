#pragma once

// Holds what the authorizers noted against what the hosts recorded. Pure: no files, no clock.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/demo/ledger.hpp"

namespace tlsmux::demo {

struct Account {
  unsigned authorizer = 0;  // as in RequestId
  bool killed = false;
  std::vector<LedgerEntry> requests;  // those begun
};

// How the authorizers are called in all that is printed: from 1.
std::string name_of(unsigned authorizer);

struct Receipt {
  std::uint32_t times = 0;
  char host = '?';  // the last one
};

class HostRecords {
 public:
  // The lines that tlsmux-host wrote. Throws std::runtime_error on a line that it never writes.
  void add(char host, std::string_view lines);

  [[nodiscard]] Receipt find(const std::string& key) const;
  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] std::uint64_t messages_of(char host) const;
  [[nodiscard]] std::size_t keys() const { return receipts_.size(); }

 private:
  std::unordered_map<std::string, Receipt> receipts_;
  std::unordered_map<char, std::uint64_t> messages_by_host_;
  std::uint64_t messages_ = 0;
};

// What cannot be, a sentence each, naming request and authorizer; empty if all is well:
//  - a request of a survivor that was not submitted, or has no outcome, or several;
//  - one that was ANSWERED, and no host received it;
//  - one that was NOT_SENT or never submitted, and a host received it;
//  - one that hosts received twice; a message that nobody sent.
std::vector<std::string> contradictions(const std::vector<Account>& accounts, std::uint32_t requests_each,
                                        const HostRecords& records);

}  // namespace tlsmux::demo
