#include "tests/faults/claim_log.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

constexpr std::size_t kEntriesMax = 1 << 20;

std::string words_of(ports::Port port) {
  return std::string(ports::name(port.protocol)) + " " + std::to_string(port.number);
}

}  // namespace

// Made of zeroes, which say nothing.
struct ClaimLog::Memory {
  std::atomic<std::uint64_t> count;
  std::array<Entry, kEntriesMax> entries;
};

ClaimLog::ClaimLog() {
  void* const memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  memory_ = static_cast<Memory*>(memory);
}

ClaimLog::~ClaimLog() { ::munmap(memory_, sizeof(Memory)); }

void ClaimLog::add(What what, std::uint32_t holder, ports::Port port) {
  const auto number = memory_->count.fetch_add(1, std::memory_order_acq_rel);
  if (number >= kEntriesMax) return;
  auto& entry = memory_->entries[number];
  entry.holder = holder;
  entry.port = port;
  entry.what.store(what, std::memory_order_release);
}

std::size_t ClaimLog::count() const { return memory_->count.load(std::memory_order_acquire); }

std::size_t ClaimLog::binds() const {
  const auto end = memory_->entries.begin() + static_cast<std::ptrdiff_t>(std::min(count(), kEntriesMax));
  return static_cast<std::size_t>(
      std::count_if(memory_->entries.begin(), end, [](const Entry& entry) { return entry.what == What::bound; }));
}

std::vector<std::string> ClaimLog::contradictions() const {
  std::vector<std::string> found;
  if (count() > kEntriesMax) found.emplace_back("the log is full");
  std::map<ports::Port, std::uint32_t> holders;
  for (std::size_t i = 0; i < std::min(count(), kEntriesMax); ++i) {
    const auto& entry = memory_->entries[i];
    const auto who = "process " + std::to_string(entry.holder);
    switch (entry.what.load(std::memory_order_acquire)) {
      case What::nothing: break;
      case What::failed: found.push_back(who + ": " + std::strerror(entry.port.number)); break;
      case What::lets_go: holders.erase(entry.port); break;
      case What::ends: std::erase_if(holders, [&](const auto& held) { return held.second == entry.holder; }); break;
      case What::bound: {
        const auto [held, is_new] = holders.try_emplace(entry.port, entry.holder);
        if (is_new) break;
        found.push_back(who + " has bound " + words_of(entry.port) + ", which process " + std::to_string(held->second) +
                        " has");
        held->second = entry.holder;
      }
    }
  }
  return found;
}

}  // namespace tlsmux::test
