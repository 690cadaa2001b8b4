#include "tests/system/ledger.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

#include "tests/host/record.hpp"

namespace tlsmux::test {
namespace {

std::string complaint(const LedgerEntry& entry, const std::string& what) {
  constexpr std::array kNames = {"not submitted", "ANSWERED", "NOT_SENT", "MAYBE_SENT"};
  return "client " + std::to_string(entry.client) + ", request " + std::to_string(entry.sequence) + ", " +
         kNames.at(static_cast<std::size_t>(entry.fate)) + " (reason " + std::to_string(entry.reason) + "): " + what;
}

}  // namespace

Ledger::Ledger(const std::string& path) {
  if (path.empty()) return;
  file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

void Ledger::add(const LedgerEntry& entry) {
  if (file_) entries_.push_back(entry);
}

void Ledger::flush() {
  if (entries_.empty()) return;
  const auto bytes = entries_.size() * sizeof(LedgerEntry);
  if (::write(file_.get(), entries_.data(), bytes) != static_cast<ssize_t>(bytes)) ::_exit(98);
  entries_.clear();
}

std::vector<LedgerEntry> read_ledgers(const std::vector<std::string>& paths) {
  std::vector<LedgerEntry> all;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    LedgerEntry entry;
    while (file.read(reinterpret_cast<char*>(&entry), sizeof entry)) all.push_back(entry);
  }
  return all;
}

std::string key_text(std::uint32_t client, std::uint64_t sequence) {
  std::array<char, 16> key{};
  const std::uint64_t wide = client;
  std::memcpy(key.data(), &wide, sizeof wide);
  std::memcpy(key.data() + sizeof wide, &sequence, sizeof sequence);
  return host::hex({key.data(), key.size()});
}

std::string contradiction(const LedgerEntry& entry, const Receipt* receipt) {
  const auto times = receipt != nullptr ? receipt->times : 0;
  if (times > 1) return complaint(entry, "received " + std::to_string(times) + " times");
  if (times == 1 && (receipt->bytes != entry.bytes || receipt->hash != entry.hash)) {
    return complaint(entry, "another message was received");
  }
  if (entry.fate == Fate::answered && times == 0) return complaint(entry, "never received");
  const bool must_not_be_there = entry.fate == Fate::not_sent || entry.fate == Fate::not_submitted;
  if (must_not_be_there && times > 0) return complaint(entry, "received");
  return {};
}

std::vector<std::string> contradictions(const std::vector<LedgerEntry>& entries,
                                        const std::map<std::string, Receipt>& receipts) {
  std::vector<std::string> found;
  std::set<std::pair<std::uint32_t, std::uint64_t>> seen;
  for (const auto& entry : entries) {
    if (!seen.emplace(entry.client, entry.sequence).second) found.push_back(complaint(entry, "ended twice"));
    const auto receipt = receipts.find(key_text(entry.client, entry.sequence));
    auto words = contradiction(entry, receipt != receipts.end() ? &receipt->second : nullptr);
    if (!words.empty()) found.push_back(std::move(words));
  }
  return found;
}

}  // namespace tlsmux::test
