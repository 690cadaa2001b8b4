// What a port costs inside the processes: taking one that is on lease, and a claim and a release in the engine's book.
// The kernel's bind is not in it. No arguments.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "ports/book/lease_table.hpp"
#include "ports/book/port_book.hpp"
#include "shm/pause_processor.hpp"

namespace {

using namespace tlsmux;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5000;
constexpr std::uint32_t kLeases = 8;  // as many as the default of leases_per_process

double ns_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - start).count();
}

double at(std::vector<double>& values, double share) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, place);
  return *place;
}

void print(const char* what, std::vector<double> each) {
  double sum = 0;
  for (const auto value : each) sum += value;
  std::printf("%-58s %8.1f %8.1f %8.1f\n", what, at(each, 0.5), sum / static_cast<double>(each.size()), at(each, 0.99));
}

void offer_all(ports::LeaseTable& table) {
  static_cast<void>(table.look());
  for (std::uint32_t i = 0; i < kLeases; ++i) table.offer({ports::Protocol::tcp, static_cast<std::uint16_t>(1000 + i)});
}

// All of a client's leases between two looks at the clock.
std::vector<double> uncontended() {
  const auto words = std::make_unique<shm::PortLeases>();
  ports::LeaseTable table(*words);
  std::vector<double> each;
  for (int round = 0; round < kRounds; ++round) {
    offer_all(table);
    std::uint32_t taken = 0;
    const auto start = Clock::now();
    while (shm::take_lease(words->tcp)) ++taken;
    each.push_back(ns_between(start, Clock::now()) / (taken + 1));
  }
  return each;
}

// What reading the clock twice costs.
double clock_ns() {
  std::vector<double> each;
  for (int i = 0; i < kRounds; ++i) {
    const auto start = Clock::now();
    each.push_back(ns_between(start, Clock::now()));
  }
  return at(each, 0.5);
}

// Threads that begin together and take until nothing is left; each take is timed by itself, less the clock's own time.
std::vector<double> contended(std::size_t threads) {
  const auto words = std::make_unique<shm::PortLeases>();
  ports::LeaseTable table(*words);
  const auto overhead_ns = clock_ns();
  std::atomic<int> round = 0;
  std::atomic<std::size_t> done = 0;
  std::vector<std::vector<double>> times(threads);
  const auto take = [&](std::vector<double>& mine) {
    for (int next = 1; next <= kRounds; ++next) {
      for (int spins = 0; round.load(std::memory_order_acquire) < next; ++spins) {
        spins < 2000 ? shm::pause_processor() : static_cast<void>(::sched_yield());
      }
      for (bool is_taken = true; is_taken;) {
        const auto start = Clock::now();
        is_taken = shm::take_lease(words->tcp).has_value();
        if (is_taken) mine.push_back(std::max(0.0, ns_between(start, Clock::now()) - overhead_ns));
      }
      done.fetch_add(1, std::memory_order_release);
    }
  };
  std::vector<std::thread> takers;
  for (std::size_t i = 0; i < threads; ++i) takers.emplace_back([&, i] { take(times[i]); });
  for (int next = 1; next <= kRounds; ++next) {
    offer_all(table);
    done = 0;
    round.store(next, std::memory_order_release);
    while (done.load(std::memory_order_acquire) < threads) ::sched_yield();
  }
  for (auto& taker : takers) taker.join();
  std::vector<double> all;
  for (const auto& mine : times) all.insert(all.end(), mine.begin(), mine.end());
  return all;
}

// The last free port of a thousand, over and over.
std::pair<std::vector<double>, std::vector<double>> book() {
  ports::PortPlan plan;
  plan.service = "BENCH";
  plan.dynamic[0].add(ports::PortRange{10'000, 10'999});
  ports::PortBook book(std::move(plan));
  ports::ClaimOrder order{.kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = {}, .owner = {}};
  std::uint64_t now_ns = 1;
  for (std::uint32_t i = 0; i < 999; ++i) {
    order.owner = {.pid = 100 + i, .uid = 0, .client_id = 0, .pidfd_inode = 5000 + i, .program = "bench"};
    static_cast<void>(book.claim(order, now_ns));
  }
  order.owner = {.pid = 7, .uid = 0, .client_id = 0, .pidfd_inode = 7, .program = "bench"};
  std::vector<double> claims;
  std::vector<double> releases;
  for (int i = 0; i < kRounds; ++i) {
    ++now_ns;
    const auto start = Clock::now();
    const auto port = book.claim(order, now_ns);
    const auto middle = Clock::now();
    if (!port) std::abort();
    static_cast<void>(book.release({ports::Protocol::tcp, *port}, order.owner, false, now_ns));
    releases.push_back(ns_between(middle, Clock::now()));
    claims.push_back(ns_between(start, middle));
    book.begin_sweep();  // nobody has bound anything
    book.finish_sweep({}, now_ns);
    static_cast<void>(book.take_changes());
  }
  return {std::move(claims), std::move(releases)};
}

}  // namespace

int main() {
  std::printf("%-58s %8s %8s %8s\n", "ns", "median", "mean", "99 %");
  print("a leased port taken, one thread", uncontended());
  print("the same, 2 threads on one client's words", contended(2));
  print("the same, 8 threads", contended(8));
  const auto [claims, releases] = book();
  print("the engine's book: claim, 999 of 1000 taken (with a clock)", claims);
  print("the engine's book: release (with a clock)", releases);
  return 0;
}
