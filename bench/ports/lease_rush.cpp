#include "bench/ports/lease_rush.hpp"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <vector>

#include "bench/monotonic_clock.hpp"
#include "bench/ports/port_client.hpp"
#include "bench/statistics.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::size_t kProcessesMax = 8;
constexpr std::size_t kTimesMax = 200'000;  // of one process
constexpr int kClockReadings = 1'001;
constexpr auto kProtocol = ports::Protocol::tcp;

struct Rush {
  struct Claimer {
    std::uint64_t count;
    std::uint32_t times_ns[kTimesMax];
  };
  std::atomic<std::uint32_t> waiting;
  std::atomic<std::uint64_t> start_ns;  // 0: not all are ready
  Claimer claimers[kProcessesMax];
};

struct Unmap {
  void operator()(Rush* rush) const { ::munmap(rush, sizeof(Rush)); }
};

std::unique_ptr<Rush, Unmap> make_rush() {
  void* const memory = ::mmap(nullptr, sizeof(Rush), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error(shm::last_error("making shared memory").message);
  return std::unique_ptr<Rush, Unmap>(static_cast<Rush*>(memory));  // zeroes are what it begins with
}

std::uint64_t clock_cost_ns() {
  std::vector<std::uint32_t> readings;
  for (int i = 0; i < kClockReadings; ++i) {
    const auto start_ns = now_ns();
    readings.push_back(static_cast<std::uint32_t>(now_ns() - start_ns));
  }
  std::ranges::sort(readings);
  return percentile(readings, 0.5);
}

// As many as are on lease, one right after the other; then gives them back. The processes together may use up the group's ports
// faster than these are known to be free again.
void claim_all(PortClient& client, std::uint64_t clock_ns, Rush::Claimer& result) {
  std::vector<std::uint16_t> taken;
  const auto count = client.leases(kProtocol);
  taken.reserve(count);
  while (taken.size() < count) {
    const auto start_ns = now_ns();
    const auto port = client.claim(kProtocol);
    const auto claim_ns = now_ns() - start_ns;
    if (!port) break;
    taken.push_back(*port);
    if (result.count < kTimesMax) {
      result.times_ns[result.count++] = static_cast<std::uint32_t>(claim_ns - std::min(claim_ns, clock_ns));
    }
  }
  for (const auto port : taken) client.release(kProtocol, port);
  if (count == 0) client.ask_for_leases(kProtocol);
}

// However it goes, nobody waits for it in vain.
struct Readiness {
  ~Readiness() { rush.waiting.fetch_sub(1, std::memory_order_acq_rel); }
  Rush& rush;
};

void run_claimer(const PortLab& lab, std::uint32_t number, std::uint64_t duration_ns, Rush& rush) {
  auto readiness = std::make_unique<Readiness>(rush);
  PortClient client(lab.free_group(), lab.control_socket());
  const auto clock_ns = clock_cost_ns();
  client.ask_for_leases(kProtocol);
  readiness.reset();
  while (rush.start_ns.load(std::memory_order_acquire) == 0) ::sched_yield();
  const auto end_ns = rush.start_ns.load(std::memory_order_relaxed) + duration_ns;
  do claim_all(client, clock_ns, rush.claimers[number]);
  while (now_ns() < end_ns);
}

}  // namespace

std::vector<std::uint32_t> claim_for(const PortLab& lab, std::uint32_t processes, std::uint64_t duration_ns) {
  const auto rush = make_rush();
  rush->waiting = processes;
  std::vector<Forked> claimers;
  for (std::uint32_t i = 0; i < processes; ++i) {
    claimers.emplace_back([&, i] { run_claimer(lab, i, duration_ns, *rush); });
  }
  while (rush->waiting.load(std::memory_order_acquire) != 0) ::sched_yield();
  rush->start_ns.store(now_ns(), std::memory_order_release);
  for (auto& claimer : claimers) claimer.wait();
  std::vector<std::uint32_t> times_ns;
  for (const auto& claimer : std::span(rush->claimers).first(processes)) {
    times_ns.insert(times_ns.end(), claimer.times_ns, claimer.times_ns + claimer.count);
  }
  return times_ns;
}

}  // namespace tlsmux::bench
