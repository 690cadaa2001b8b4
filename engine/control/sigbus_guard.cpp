#include "engine/control/sigbus_guard.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <tuple>

#include "shm/assert.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::engine::control {

static_assert(std::atomic<std::uintptr_t>::is_always_lock_free, "used in a signal handler");

std::atomic<SigbusGuard*> SigbusGuard::active_ = nullptr;

SigbusGuard::SigbusGuard(std::size_t ranges_max) : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TMX_ASSERT(bell_);
  tables_.push_back(std::make_unique<Table>(ranges_max));
  first_ = tables_.front().get();
  SigbusGuard* none = nullptr;
  TMX_ASSERT(active_.compare_exchange_strong(none, this));
  struct sigaction action{};
  action.sa_sigaction = [](int signal, siginfo_t* information, void* context) { handle(signal, information, context); };
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  TMX_ASSERT(::sigaction(SIGBUS, &action, nullptr) == 0);
}

SigbusGuard::~SigbusGuard() {
  std::ignore = ::signal(SIGBUS, SIG_DFL);
  active_ = nullptr;
}

void SigbusGuard::grow(std::size_t ranges) {
  auto& last = *tables_.back();
  tables_.push_back(std::make_unique<Table>(ranges));
  last.next.store(tables_.back().get(), std::memory_order_release);
}

template <typename Visit>
bool SigbusGuard::any_range(Visit visit) {
  for (auto* table = first_; table != nullptr; table = table->next.load(std::memory_order_acquire)) {
    for (std::size_t i = 0; i < table->size; ++i) {
      if (visit(table->ranges[i])) return true;
    }
  }
  return false;
}

bool SigbusGuard::add(std::uint64_t owner, std::span<const std::byte> range) {
  return any_range([&](Range& entry) {
    if (entry.begin.load(std::memory_order_relaxed) != 0) return false;
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
    entry.end.store(begin + range.size(), std::memory_order_relaxed);
    entry.owner.store(owner, std::memory_order_relaxed);
    entry.faulted.store(false, std::memory_order_relaxed);
    entry.begin.store(begin, std::memory_order_release);
    return true;
  });
}

void SigbusGuard::remove(std::uint64_t owner) {
  any_range([&](Range& entry) {
    const bool is_theirs =
        entry.begin.load(std::memory_order_relaxed) != 0 && entry.owner.load(std::memory_order_relaxed) == owner;
    if (is_theirs) entry.begin.store(0, std::memory_order_release);
    return is_theirs;
  });
}

std::vector<std::uint64_t> SigbusGuard::take_faulted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(bell_.get(), &count, sizeof count);
  std::vector<std::uint64_t> owners;
  any_range([&](Range& entry) {
    const bool is_used = entry.begin.load(std::memory_order_relaxed) != 0;
    if (is_used && entry.faulted.exchange(false)) owners.push_back(entry.owner.load(std::memory_order_relaxed));
    return false;
  });
  return owners;
}

// Only what is safe in a signal handler: atomics and system calls.
void SigbusGuard::handle(int signal, void* information, void* /*context*/) {
  const auto* const info = static_cast<const siginfo_t*>(information);
  const int errno_before = errno;
  auto* const guard = active_.load();
  const bool fault = info->si_code > 0;  // and not sent by somebody
  if (fault && guard != nullptr && guard->repair(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
    errno = errno_before;
    return;
  }
  std::ignore = ::signal(signal, SIG_DFL);
  if (!fault) std::ignore = ::raise(signal);  // a fault happens again by itself
}

bool SigbusGuard::repair(std::uintptr_t address) {
  bool found = false;
  any_range([&](Range& entry) {
    const auto begin = entry.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= entry.end.load(std::memory_order_relaxed)) return false;
    entry.faulted.store(true);
    found = true;
    return false;
  });
  if (!found) return false;
  const auto page = address & ~std::uintptr_t{shm::kPageBytes - 1};
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  // Past the C library, and past the sanitizers' wrapper of mmap, which is not for signal handlers.
  if (::syscall(SYS_mmap, page, shm::kPageBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0) == -1) return false;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto rung = ::write(bell_.get(), &one, sizeof one);
  return true;
}

}  // namespace tlsmux::engine::control
