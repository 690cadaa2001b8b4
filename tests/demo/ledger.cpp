#include "tests/demo/ledger.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::demo {
namespace {

shm::Mapping map_all(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) throw std::runtime_error(shm::last_error("reading " + path).message);
  auto mapping = shm::Mapping::map(fd, static_cast<std::uint64_t>(status.st_size), shm::Access::read_write);
  if (!mapping) throw std::runtime_error(path + ": " + mapping.error().message);
  return std::move(*mapping);
}

}  // namespace

Ledger Ledger::create(const std::string& path, std::uint32_t requests) {
  const shm::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const auto bytes = sizeof(LedgerHeader) + std::size_t{requests} * sizeof(LedgerEntry);
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    throw std::runtime_error(shm::last_error("making " + path).message);
  }
  return Ledger(map_all(file.get(), path));
}

Ledger Ledger::open(const std::string& path) {
  const shm::UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) throw std::runtime_error(shm::last_error("opening " + path).message);
  return Ledger(map_all(file.get(), path));
}

// The file's zeroes are the initial values of everything in it.
Ledger::Ledger(shm::Mapping mapping) : mapping_(std::move(mapping)) {
  const auto bytes = mapping_.bytes();
  if (bytes.size() < sizeof(LedgerHeader)) throw std::runtime_error("this is no ledger");
  header_ = reinterpret_cast<LedgerHeader*>(bytes.data());
  entries_ = {reinterpret_cast<LedgerEntry*>(bytes.data() + sizeof(LedgerHeader)),
              (bytes.size() - sizeof(LedgerHeader)) / sizeof(LedgerEntry)};
}

void Ledger::begin(std::uint64_t request, std::int64_t now_ns) {
  auto& entry = entries_[request];
  entry.submitted_ns = now_ns;
  std::atomic_ref(entry.fate).store(Fate::open, std::memory_order_release);
  header_->submitted.store(request + 1, std::memory_order_release);
}

void Ledger::take_back(std::uint64_t request) {
  header_->submitted.store(request, std::memory_order_release);
  std::atomic_ref(entries_[request].fate).store(Fate::unsubmitted, std::memory_order_release);
}

void Ledger::end(std::uint64_t request, Fate fate, std::uint16_t reason, std::int64_t now_ns) {
  auto& entry = entries_[request];
  entry.latency_us = static_cast<std::uint32_t>((now_ns - entry.submitted_ns) / 1000);
  entry.reason = reason;
  if (entry.outcomes < 255) ++entry.outcomes;
  std::atomic_ref(entry.fate).store(fate, std::memory_order_release);
  auto& count = fate == Fate::answered   ? header_->answered
                : fate == Fate::not_sent ? header_->not_sent
                                         : header_->maybe_sent;
  count.fetch_add(1, std::memory_order_relaxed);
}

// The rest of an entry holds once its fate says that the request has ended.
LedgerEntry Ledger::read(std::uint64_t request) const {
  auto& entry = entries_[request];
  const auto fate = std::atomic_ref(entry.fate).load(std::memory_order_acquire);
  if (fate == Fate::unsubmitted) return {};
  if (fate == Fate::open) return {.submitted_ns = entry.submitted_ns, .fate = fate};
  return {.submitted_ns = entry.submitted_ns,
          .latency_us = entry.latency_us,
          .reason = entry.reason,
          .outcomes = entry.outcomes,
          .fate = fate};
}

std::vector<LedgerEntry> Ledger::entries() const {
  const auto submitted = header_->submitted.load(std::memory_order_acquire);
  std::vector<LedgerEntry> copies;
  copies.reserve(submitted);
  for (std::uint64_t request = 0; request < submitted; ++request) copies.push_back(read(request));
  return copies;
}

std::optional<std::int64_t> Ledger::first_answer_ns(std::int64_t since_ns) const {
  std::optional<std::int64_t> first;
  for (auto request = header_->submitted.load(std::memory_order_acquire); request > 0; --request) {
    const auto entry = read(request - 1);
    if (entry.fate != Fate::unsubmitted && entry.submitted_ns < since_ns) break;
    if (entry.fate != Fate::answered) continue;
    const auto answered_ns = entry.submitted_ns + std::int64_t{entry.latency_us} * 1000;
    first = std::min(first.value_or(answered_ns), answered_ns);
  }
  return first;
}

}  // namespace tlsmux::demo
