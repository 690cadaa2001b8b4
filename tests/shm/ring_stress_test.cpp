// One producer, one consumer, every field of every entry checked: as threads, which a sanitizer can watch, and as
// processes, which is how rings are used.
#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "shm/ring.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kMessages = 1'000'000;
constexpr std::size_t kEntries = 64;

struct SharedRing {
  RingIndexes indexes{};
  std::array<RequestDescriptor, kEntries> entries{};
};

RequestDescriptor entry_of(std::uint64_t number) {
  const std::uint64_t mixed = number * 0x9e3779b97f4a7c15;
  return {.tag = number,
          .generation = mixed,
          .request_slot = static_cast<std::uint32_t>(mixed),
          .response_slot = static_cast<std::uint32_t>(mixed >> 32),
          .length = static_cast<std::uint32_t>(number),
          .timeout_ms = static_cast<std::uint32_t>(~number),
          .operation = Operation::request,
          .flags = static_cast<std::uint16_t>(mixed >> 48),
          .reserved0 = 0,
          .notice = mixed ^ 1,
          .reserved1 = {mixed ^ 2, mixed ^ 3}};
}

bool same(const RequestDescriptor& left, const RequestDescriptor& right) {
  return left.tag == right.tag && left.generation == right.generation && left.request_slot == right.request_slot &&
         left.response_slot == right.response_slot && left.length == right.length &&
         left.timeout_ms == right.timeout_ms && left.operation == right.operation && left.flags == right.flags &&
         left.notice == right.notice && left.reserved1 == right.reserved1;
}

// Publishes in batches of random size. False when the ring was found corrupt.
bool produce(SharedRing& ring, std::uint64_t seed) {
  RingProducer<RequestDescriptor> producer(&ring.indexes, ring.entries);
  test::Jitter random(seed);
  for (std::uint64_t sent = 0; sent < kMessages;) {
    const auto room = producer.room();
    if (!room) return false;
    if (*room == 0) ::sched_yield();
    const auto batch = std::min({*room, kMessages - sent, 1 + random.next() % 16});
    for (std::uint64_t i = 0; i < batch; ++i) producer.push(entry_of(sent++));
    if (batch > 0) producer.publish();
  }
  return true;
}

// How many entries came as they were sent before the first that did not; all of them if none.
std::uint64_t consume(SharedRing& ring, std::uint64_t seed) {
  RingConsumer<RequestDescriptor> consumer(&ring.indexes, ring.entries);
  test::Jitter random(seed);
  for (std::uint64_t received = 0; received < kMessages;) {
    const auto available = consumer.available();
    if (!available) return received;
    if (*available == 0) ::sched_yield();
    const auto batch = std::min(*available, 1 + random.next() % 16);
    for (std::uint64_t i = 0; i < batch; ++i) {
      if (!same(consumer.take(), entry_of(received))) return received;
      ++received;
    }
    if (batch > 0) consumer.release();
  }
  return kMessages;
}

struct Unmap {
  void operator()(SharedRing* ring) const { ::munmap(ring, sizeof *ring); }
};

std::unique_ptr<SharedRing, Unmap> map_shared_ring() {
  void* memory = ::mmap(nullptr, sizeof(SharedRing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  return std::unique_ptr<SharedRing, Unmap>(std::construct_at(static_cast<SharedRing*>(memory)));
}

}  // namespace

TEST_CASE("ring.a million entries between two threads arrive whole and in order") {
  const auto ring = std::make_unique<SharedRing>();
  bool sent = false;
  std::uint64_t received = 0;
  test::run_two_threads([&] { sent = produce(*ring, test::seed()); },
                        [&] { received = consume(*ring, test::seed() + 1); });
  CHECK(sent);
  CHECK(received == kMessages);
}

TEST_CASE("ring.a million entries between two processes arrive whole and in order") {
  const auto ring = map_shared_ring();
  const auto seed = test::seed();
  const pid_t producer = ::fork();
  REQUIRE(producer >= 0);
  if (producer == 0) ::_exit(produce(*ring, seed) ? 0 : 1);
  const auto received = consume(*ring, seed + 1);
  CHECK(received == kMessages);
  if (received != kMessages) ::kill(producer, SIGKILL);  // it may wait for room for ever
  int status = -1;
  REQUIRE(::waitpid(producer, &status, 0) == producer);
  CHECK(status == 0);
}
