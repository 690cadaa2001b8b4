#include "shm/trace_lease.hpp"

#include <memory>

#include <doctest/doctest.h>

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

struct Lease {
  std::unique_ptr<TraceLease> memory = std::make_unique<TraceLease>();
  TraceLeaseProducer engine{memory.get()};
  TraceLeaseConsumer client{memory.get()};

  void grant(TraceBlock block) {
    engine.push(block);
    engine.publish();
  }
};

}  // namespace

TEST_CASE("segment.trace numbers are counted through block by block") {
  Lease lease;
  std::uint32_t number = 0;
  CHECK_FALSE(lease.client.next(number));
  CHECK_FALSE(lease.client.begin_block().value());
  CHECK_FALSE(lease.client.is_relieved());
  CHECK_FALSE(lease.engine.is_asked());
  lease.client.ask();
  CHECK(lease.engine.is_asked());

  lease.grant({.first = 10, .count = 3});
  CHECK(lease.client.is_relieved());
  lease.grant({.first = 100, .count = 1});
  CHECK(lease.engine.ahead() == 2);
  for (const std::uint32_t expected : {10, 11, 12, 100}) {
    if (!lease.client.next(number)) {
      CHECK(lease.client.begin_block().value());
      CHECK(lease.client.next(number));
    }
    CHECK(number == expected);
  }
  CHECK(lease.engine.look().value() == 2);
  CHECK(lease.engine.ahead() == 0);
  CHECK_FALSE(lease.client.begin_block().value());
}

TEST_CASE("hostile.a count of blocks outside the lease is not believed") {
  for (const std::uint32_t taken : {2U, 0xffffffffU, 0x80000000U}) {
    Lease lease;
    lease.grant({.first = 1, .count = 1});
    lease.memory->taken.store(taken);
    CHECK_FALSE(lease.engine.look().has_value());
  }
  Lease lease;
  for (int i = 0; i < 3; ++i) lease.grant({.first = 1, .count = 1});
  lease.memory->taken.store(2);
  CHECK(lease.engine.look().value() == 2);
  lease.memory->taken.store(1);  // back again
  CHECK_FALSE(lease.engine.look().has_value());
}

TEST_CASE("hostile.a client takes no nonsense for trace numbers") {
  const auto begin = [](std::uint32_t granted, std::uint64_t block) {
    Lease lease;
    lease.memory->blocks[0].store(block);
    lease.memory->granted.store(granted);
    return lease.client.begin_block().has_value();
  };
  CHECK(begin(1, pack(TraceBlock{.first = 5, .count = 1})));
  CHECK(begin(1, pack(TraceBlock{.first = config::kTraceNumberMax, .count = 1})));
  CHECK_FALSE(begin(kTraceBlocks + 1, pack(TraceBlock{.first = 5, .count = 1})));
  CHECK_FALSE(begin(0xffffffff, pack(TraceBlock{.first = 5, .count = 1})));
  CHECK_FALSE(begin(1, pack(TraceBlock{.first = 5, .count = 0})));
  CHECK_FALSE(begin(1, pack(TraceBlock{.first = 5, .count = config::kTraceNumberBlockMax + 1})));
  CHECK_FALSE(begin(1, pack(TraceBlock{.first = config::kTraceNumberMax, .count = 2})));
  CHECK_FALSE(begin(1, ~0ULL));
}
