#include "tests/demo/audit.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/demo/purchase.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::demo {
namespace {

// The word before the next space, which is taken off `line` with it.
std::string_view take_word(std::string_view& line) {
  const auto end = std::min(line.find(' '), line.size());
  const auto word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::string outcome_of(const LedgerEntry& entry) {
  constexpr std::array<const char*, 5> kNames = {"was never submitted", "has no outcome", "is ANSWERED", "is NOT_SENT",
                                                 "is MAYBE_SENT"};
  std::string text = kNames.at(static_cast<std::size_t>(entry.fate));
  if (entry.reason != 0) text += std::string(" (") + tmx_reason_name(static_cast<tmx_reason>(entry.reason)) + ")";
  return text;
}

std::string fault_in_outcomes(const LedgerEntry& entry, bool killed) {
  if (entry.outcomes > 1) return "has " + std::to_string(entry.outcomes) + " outcomes";
  if (!killed && entry.outcomes == 0) return outcome_of(entry);
  return "";
}

std::string fault_in_receipt(const LedgerEntry& entry, const Receipt& receipt) {
  if (receipt.times > 1) {
    return outcome_of(entry) + ", and hosts received it " + std::to_string(receipt.times) + " times";
  }
  if (entry.fate == Fate::answered && receipt.times == 0) return outcome_of(entry) + ", but no host received it";
  if ((entry.fate == Fate::not_sent || entry.fate == Fate::unsubmitted) && receipt.times > 0) {
    return outcome_of(entry) + ", but host " + receipt.host + " received it";
  }
  return "";
}

}  // namespace

std::string name_of(unsigned authorizer) { return "authorizer " + std::to_string(authorizer + 1); }

void HostRecords::add(char host, std::string_view lines) {
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    auto line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    const auto kind = take_word(line);
    if (kind == "started") continue;
    take_word(line);  // connection
    take_word(line);  // sequence
    const auto key = take_word(line);
    if (kind != "received" || key.empty()) throw std::runtime_error("a host's record has a line that is none");
    auto& receipt = receipts_[std::string(key)];
    ++receipt.times;
    receipt.host = host;
    ++messages_by_host_[host];
    ++messages_;
  }
}

Receipt HostRecords::find(const std::string& key) const {
  const auto found = receipts_.find(key);
  return found == receipts_.end() ? Receipt{} : found->second;
}

std::uint64_t HostRecords::messages_of(char host) const {
  const auto found = messages_by_host_.find(host);
  return found == messages_by_host_.end() ? 0 : found->second;
}

std::vector<std::string> contradictions(const std::vector<Account>& accounts, std::uint32_t requests_each,
                                        const HostRecords& records) {
  std::vector<std::string> found;
  std::size_t keys_known = 0;
  for (const auto& account : accounts) {
    for (std::uint32_t request = 0; request < requests_each; ++request) {
      const RequestId id{account.authorizer, request};
      const auto entry = request < account.requests.size() ? account.requests[request] : LedgerEntry{};
      const auto receipt = records.find(record_key(id));
      keys_known += receipt.times > 0 ? 1 : 0;
      const auto faults = {fault_in_outcomes(entry, account.killed), fault_in_receipt(entry, receipt)};
      for (const auto& fault : faults) {
        if (fault.empty()) continue;
        found.push_back(name_of(account.authorizer) + ", request " + std::to_string(request + 1) + " (trace number " +
                        std::to_string(trace_number(id)) + "): " + fault);
      }
    }
  }
  if (records.keys() > keys_known) {
    found.push_back("hosts received " + std::to_string(records.keys() - keys_known) + " messages that nobody sent");
  }
  return found;
}

}  // namespace tlsmux::demo
