// shm/ring.hpp under relaxed memory: a producer and a consumer on a ring that is smaller than what passes through it.
#include "shm/ring.hpp"

#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::size_t kEntries = 2;

struct alignas(8) Entry {
  std::uint64_t number = 0;
};

struct Shared {
  RingIndexes indexes;
  std::array<Entry, kEntries> entries;
};

// What an entry speaks of, such as a request's bytes: written before the entry is pushed, read after it was taken, and
// written again once its place is the producer's again. Relacy reports two accesses that nothing keeps apart.
template <unsigned entries_passed, unsigned entries_per_publish>
struct RingSuite : rl::test_suite<RingSuite<entries_passed, entries_per_publish>, 2> {
  test::WatchedWords words;
  Shared& shared = test::made_anew<Shared>();
  RingProducer<Entry> producer{&shared.indexes, shared.entries};
  RingConsumer<Entry> consumer{&shared.indexes, shared.entries};
  rl::var<std::uint64_t> payload[kEntries];

  RingSuite() {
    words.watch(shared.indexes.tail);
    words.watch(shared.indexes.head);
    words.watch_words_of(shared.entries);
  }

  static std::vector<std::string> roles() { return {"producer", "consumer"}; }
  void thread(unsigned index) { index == 0 ? produce() : consume(); }

  void produce() {
    for (std::uint64_t number = 1; number <= entries_passed;) {
      const auto room = producer.room();
      RL_ASSERT(room.has_value());
      if (*room == 0) {
        rl::yield(1, RL_INFO);
        continue;
      }
      const auto count = std::min<std::uint64_t>({*room, entries_per_publish, entries_passed + 1 - number});
      for (std::uint64_t i = 0; i < count; ++i, ++number) {
        payload[number % kEntries](RL_INFO) = number * 3;
        producer.push({.number = number});
      }
      producer.publish();
    }
  }

  void consume() {
    for (std::uint64_t number = 1; number <= entries_passed;) {
      const auto available = consumer.available();
      RL_ASSERT(available.has_value());
      if (*available == 0) {
        rl::yield(1, RL_INFO);
        continue;
      }
      for (std::uint64_t i = 0; i < *available; ++i, ++number) {
        RL_ASSERT(consumer.take().number == number);
        RL_ASSERT(payload[number % kEntries](RL_INFO) == number * 3);
      }
      consumer.release();
    }
  }
};

}  // namespace

TEST_CASE("relacy.ring passes every entry on, in order, and races on nothing") {
  test::check_nothing_is_found<RingSuite<3, 1>>("3 entries, up to 3 preemptions", test::BoundedSearch{3});
  test::check_nothing_is_found<RingSuite<5, 2>>("5 entries, published by twos", test::RandomSearch{100'000});
}

TEST_CASE("relacy.ring needs each of its memory orders") {
  test::check_each_order_is_needed<RingSuite<5, 2>>(20'000, {"ring.hpp"}, {});
}
