// shm/doorbell.hpp under relaxed memory, in both directions, with the rings and ready bits around it. A lost wake leaves
// everybody asleep, which relacy reports as a deadlock.
#include "shm/doorbell.hpp"

#include "shm/ring.hpp"
#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::size_t kEntries = 4;

struct alignas(8) Entry {
  std::uint64_t number = 0;
};

// An eventfd on which its owner sleeps: writes add up to one wake.
class Bell {
 public:
  Bell() { event_.init(false, false, RL_INFO); }
  ~Bell() { event_.deinit(RL_INFO); }
  void ring() { event_.set(RL_INFO); }
  void wait() { event_.wait(false, false, RL_INFO); }

 private:
  rl::generic_event event_;
};

struct ChannelMemory {
  RingIndexes indexes;
  std::array<Entry, kEntries> entries;
};

void watch(test::WatchedWords& words, ChannelMemory& channel) {
  words.watch(channel.indexes.tail);
  words.watch(channel.indexes.head);
  words.watch_words_of(channel.entries);
}

// Two threads of a client, each with its channel, and a data loop that sleeps whenever there is nothing to do.
template <unsigned requests_each>
struct ToEngineSuite : rl::test_suite<ToEngineSuite<requests_each>, 3> {
  struct Shared {
    ShardWords words;
    ChannelMemory channels[2];
  };
  test::WatchedWords words;
  Shared& shared = test::made_anew<Shared>();
  Bell doorbell;
  RingConsumer<Entry> rings[2] = {{&shared.channels[0].indexes, shared.channels[0].entries},
                                  {&shared.channels[1].indexes, shared.channels[1].entries}};
  std::uint64_t taken[2] = {0, 0};

  ToEngineSuite() {
    words.watch(shared.words.engine_armed);
    words.watch(shared.words.ready);
    for (auto& channel : shared.channels) watch(words, channel);
  }

  static std::vector<std::string> roles() { return {"client", "client", "engine"}; }
  void thread(unsigned index) { index < 2 ? be_client(index) : be_engine(); }

  void be_client(unsigned channel) {
    RingProducer<Entry> ring(&shared.channels[channel].indexes, shared.channels[channel].entries);
    for (std::uint64_t number = 1; number <= requests_each; ++number) {
      ring.push({.number = number});
      ring.publish();
      announce(channel);
    }
  }

  // As Attachment::announce and mark_ready.
  void announce(unsigned channel) {
    shared.words.ready.fetch_or(1ULL << channel, std::memory_order_release);
    if (must_ring(shared.words.engine_armed)) doorbell.ring();
  }

  void be_engine() {
    for (;;) {
      take_requests();
      if (taken[0] + taken[1] == 2 * requests_each) return;
      cool_and_sleep();
    }
  }

  // As Shard::cool and heat, and Intake::has_more.
  void cool_and_sleep() {
    arm(shared.words.engine_armed);
    if (shared.words.ready.load(std::memory_order_relaxed) == 0) doorbell.wait();
    disarm(shared.words.engine_armed);
  }

  // As Intake::take and take_channel.
  void take_requests() {
    std::uint64_t announced = 0;
    if (shared.words.ready.load(std::memory_order_relaxed) != 0) {
      announced = shared.words.ready.exchange(0, std::memory_order_acquire);
    }
    for (unsigned channel = 0; channel < 2; ++channel) {
      if ((announced >> channel & 1) == 0) continue;
      for (;;) {
        const auto available = rings[channel].available();
        RL_ASSERT(available.has_value());
        if (*available == 0) break;
        RL_ASSERT(rings[channel].take().number == ++taken[channel]);
      }
      rings[channel].release();
    }
  }
};

// A data loop that publishes completions in turns, and a client that sleeps for them.
template <unsigned turns>
struct ToClientSuite : rl::test_suite<ToClientSuite<turns>, 2> {
  struct Shared {
    ChannelMemory channel;
    alignas(kCacheLineBytes) std::atomic<std::uint32_t> client_armed;
  };
  test::WatchedWords words;
  Shared& shared = test::made_anew<Shared>();
  Bell wake;
  RingConsumer<Entry> ring_in{&shared.channel.indexes, shared.channel.entries};

  ToClientSuite() {
    words.watch(shared.client_armed);
    watch(words, shared.channel);
  }

  static std::vector<std::string> roles() { return {"engine", "client"}; }
  void thread(unsigned index) { index == 0 ? be_engine() : be_client(); }

  // As Outlet::push and publish.
  void be_engine() {
    RingProducer<Entry> ring(&shared.channel.indexes, shared.channel.entries);
    for (std::uint64_t number = 1; number <= turns; ++number) {
      ring.push({.number = number});
      ring.publish();
      if (must_ring(shared.client_armed)) wake.ring();
    }
  }

  // As Channel::wait_for_outcomes, collect and sleep_until.
  void be_client() {
    for (std::uint64_t number = 1; number <= turns;) {
      for (auto count = available(); count > 0; --count) RL_ASSERT(ring_in.take().number == number++);
      ring_in.release();
      if (number > turns) return;
      arm(shared.client_armed);
      if (available() == 0) wake.wait();
      disarm(shared.client_armed);
    }
  }

  std::uint64_t available() {
    const auto count = ring_in.available();
    RL_ASSERT(count.has_value());
    return *count;
  }
};

}  // namespace

TEST_CASE("relacy.doorbell loses no wake of the engine") {
  test::check_nothing_is_found<ToEngineSuite<1>>("2 threads, 1 request each, up to 2 preemptions",
                                                 test::BoundedSearch{2});
  test::check_nothing_is_found<ToEngineSuite<3>>("2 threads, 3 requests each", test::RandomSearch{100'000});
}

TEST_CASE("relacy.doorbell loses no wake of a client") {
  test::check_nothing_is_found<ToClientSuite<2>>("2 turns, up to 3 preemptions", test::BoundedSearch{3});
  test::check_nothing_is_found<ToClientSuite<4>>("4 turns", test::RandomSearch{100'000});
}

TEST_CASE("relacy.doorbell of the engine needs both fences and each memory order") {
  test::check_each_order_is_needed<ToEngineSuite<2>>(20'000, {"doorbell.hpp", "doorbell_test.cpp"}, {});
}

TEST_CASE("relacy.doorbell of a client needs both fences and each memory order") {
  test::check_each_order_is_needed<ToClientSuite<3>>(20'000, {"doorbell.hpp", "doorbell_test.cpp"}, {});
}
