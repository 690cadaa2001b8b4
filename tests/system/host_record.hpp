#pragma once

// What hosts have received, by their own records.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tlsmux::test {

struct Receipt {
  std::uint64_t times = 0;
  std::size_t bytes = 0;
  std::uint64_t hash = 0;  // FNV-1a of the message
};

// By the first 16 bytes of a message, in hex. Several files: of several hosts.
std::map<std::string, Receipt> read_host_records(const std::vector<std::string>& files);
// Adds the whole lines of one file from `offset` on, and moves `offset` behind them.
void read_host_record(const std::string& file, std::uint64_t& offset, std::map<std::string, Receipt>& receipts);
// Messages received in all, with equal ones.
std::uint64_t count_receipts(const std::map<std::string, Receipt>& receipts);

}  // namespace tlsmux::test
