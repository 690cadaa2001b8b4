#include "tests/system/host_record.hpp"

#include <fstream>
#include <sstream>

namespace tlsmux::test {

std::map<std::string, Receipt> read_host_records(const std::vector<std::string>& files) {
  std::map<std::string, Receipt> receipts;
  for (const auto& path : files) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string what;
      std::string connection;
      std::string sequence;
      std::string key;
      std::size_t bytes = 0;
      std::string hash;
      if (!(words >> what >> connection >> sequence >> key >> bytes >> hash) || what != "received") continue;
      auto& receipt = receipts[key];
      ++receipt.times;
      receipt.bytes = bytes;
      receipt.hash = std::stoull(hash, nullptr, 16);
    }
  }
  return receipts;
}

std::uint64_t count_receipts(const std::map<std::string, Receipt>& receipts) {
  std::uint64_t count = 0;
  for (const auto& [key, receipt] : receipts) count += receipt.times;
  return count;
}

}  // namespace tlsmux::test
