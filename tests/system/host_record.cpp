#include "tests/system/host_record.hpp"

#include <fstream>
#include <sstream>

namespace tlsmux::test {

namespace {

void add_line(const std::string& line, std::map<std::string, Receipt>& receipts) {
  std::istringstream words(line);
  std::string what;
  std::string connection;
  std::string sequence;
  std::string key;
  std::size_t bytes = 0;
  std::string hash;
  if (!(words >> what >> connection >> sequence >> key >> bytes >> hash) || what != "received") return;
  auto& receipt = receipts[key];
  ++receipt.times;
  receipt.bytes = bytes;
  receipt.hash = std::stoull(hash, nullptr, 16);
}

}  // namespace

void read_host_record(const std::string& file, std::uint64_t& offset, std::map<std::string, Receipt>& receipts) {
  std::ifstream stream(file);
  stream.seekg(static_cast<std::streamoff>(offset));
  std::string line;
  while (std::getline(stream, line) && !stream.eof()) {  // a last line without its end is still being written
    add_line(line, receipts);
    offset += line.size() + 1;
  }
}

std::map<std::string, Receipt> read_host_records(const std::vector<std::string>& files) {
  std::map<std::string, Receipt> receipts;
  for (const auto& path : files) {
    std::uint64_t offset = 0;
    read_host_record(path, offset, receipts);
  }
  return receipts;
}

std::uint64_t count_receipts(const std::map<std::string, Receipt>& receipts) {
  std::uint64_t count = 0;
  for (const auto& [key, receipt] : receipts) count += receipt.times;
  return count;
}

}  // namespace tlsmux::test
