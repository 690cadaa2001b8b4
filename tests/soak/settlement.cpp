#include "tests/soak/settlement.hpp"

#include <fcntl.h>

#include <set>
#include <tuple>
#include <utility>

#include "shm/system/unique_fd.hpp"
#include "tests/demo/purchase.hpp"

namespace tlsmux::soak {
namespace {

using test::Fate;
using test::LedgerEntry;
using test::Receipt;

std::string key_of(const LedgerEntry& entry) {
  if (entry.client < kIsoClients) return test::key_text(entry.client, entry.sequence);
  return demo::record_key(
      {.authorizer = entry.client - kIsoClients, .request = static_cast<std::uint32_t>(entry.sequence)});
}

void punch(const std::string& path, std::uint64_t bytes) {
  const shm::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // Where the file system cannot do it the record only stays as long as it is.
  if (file)
    std::ignore = ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
}

}  // namespace

Settlement::Settlement(std::vector<std::string> records) {
  for (auto& path : records) records_.push_back({.path = std::move(path)});
}

std::vector<std::string> Settlement::end_phase(std::vector<LedgerEntry> entries) {
  auto receipts = read_records();
  count(entries);
  for (const auto& [key, receipt] : receipts) {
    tally_.received += receipt.times;
    if (const auto before = receipts_.find(key); before != receipts_.end()) before->second.times += receipt.times;
  }
  const auto receipt_of = [&](const std::string& key) -> const Receipt* {
    if (const auto before = receipts_.find(key); before != receipts_.end()) return &before->second;
    const auto now = receipts.find(key);
    return now != receipts.end() ? &now->second : nullptr;
  };
  std::vector<std::string> found;
  std::set<std::string> told;
  for (const auto& entry : entries_) {
    const auto key = key_of(entry);
    if (!told.insert(key).second) found.push_back("client " + std::to_string(entry.client) + ": a request ended twice");
    auto words = test::contradiction(entry, receipt_of(key));
    if (!words.empty()) found.push_back(std::move(words));
  }
  for (const auto& entry : entries) {
    if (told.contains(key_of(entry))) {
      found.push_back("client " + std::to_string(entry.client) + ": a request ended again, a phase later");
    }
  }
  for (const auto& [key, receipt] : receipts_) {
    if (receipt.times > 1 && !told.contains(key)) found.push_back("received twice, and nobody was told: " + key);
  }
  tally_.false_outcomes += found.size();
  entries_ = std::move(entries);
  receipts_ = std::move(receipts);
  return found;
}

Settlement::Receipts Settlement::read_records() {
  Receipts receipts;
  for (auto& record : records_) {
    const auto before = record.offset;
    test::read_host_record(record.path, record.offset, receipts);
    if (record.offset > before) punch(record.path, record.offset);
  }
  return receipts;
}

void Settlement::count(const std::vector<LedgerEntry>& entries) {
  for (const auto& entry : entries) {
    switch (entry.fate) {
      case Fate::not_submitted: ++tally_.refused; continue;
      case Fate::answered: ++tally_.answered; break;
      case Fate::not_sent: ++tally_.not_sent; break;
      case Fate::maybe_sent: ++tally_.maybe_sent; break;
    }
    ++tally_.requests;
  }
}

}  // namespace tlsmux::soak
