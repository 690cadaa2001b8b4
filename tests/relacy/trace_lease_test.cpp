// shm/trace_lease.hpp under relaxed memory: an engine that grants blocks of trace numbers and a client that counts through
// them, past the end of the ring of blocks. No number is handed out twice, none that was not granted.
#include "shm/trace_lease.hpp"

#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;
using test::Weakening;

namespace {

constexpr std::uint32_t kBlocks = kTraceBlocks + 2;
constexpr std::uint32_t kNumbersPerBlock = 2;

struct TraceSuite : rl::test_suite<TraceSuite, 2> {
  test::WatchedWords words;
  TraceLease& lease = test::made_anew<TraceLease>();
  TraceLeaseProducer producer{&lease};
  TraceLeaseConsumer consumer{&lease};
  std::uint32_t begun_says_engine = 0;

  TraceSuite() {
    words.watch(lease.granted);
    words.watch(lease.taken);
    words.watch(lease.asked);
    for (auto& block : lease.blocks) words.watch(block);
  }

  static std::vector<std::string> roles() { return {"engine", "client"}; }
  void thread(unsigned index) { index == 0 ? be_engine() : be_client(); }

  void be_engine() {
    while (!producer.is_asked()) rl::yield(1, RL_INFO);
    for (std::uint32_t block = 0; block < kBlocks;) {
      const auto begun = producer.look();
      RL_ASSERT(begun.has_value());
      begun_says_engine += *begun;
      if (producer.ahead() == kTraceBlocks) {
        rl::yield(1, RL_INFO);
        continue;
      }
      for (; producer.ahead() < kTraceBlocks && block < kBlocks; ++block) {
        producer.push({.first = block * kNumbersPerBlock + 1, .count = kNumbersPerBlock});
      }
      producer.publish();
    }
  }

  void be_client() {
    consumer.ask();
    for (std::uint32_t expected = 1; expected <= kBlocks * kNumbersPerBlock;) {
      std::uint32_t number = 0;
      if (consumer.next(number)) {
        RL_ASSERT(number == expected);
        ++expected;
        continue;
      }
      const auto begun = consumer.begin_block();
      RL_ASSERT(begun.has_value());
      if (!*begun) rl::yield(1, RL_INFO);
    }
  }

  void after() {
    words.settle();
    const auto begun = producer.look();
    RL_ASSERT(begun.has_value());
    RL_ASSERT(begun_says_engine + *begun == kBlocks);
  }
};

}  // namespace

TEST_CASE("relacy.trace numbers are leased once each") {
  test::check_nothing_is_found<TraceSuite>("6 blocks in 4 places, up to 2 preemptions", test::BoundedSearch{2});
  test::check_nothing_is_found<TraceSuite>("6 blocks in 4 places", test::RandomSearch{50'000});
}

TEST_CASE("relacy.trace numbers need their memory orders") {
  constexpr const char* kAnnounced = "the ready bit that the channel is announced with orders it already";
  constexpr const char* kLoadBuffering =
      "keeps the load of the block before this store, and relacy never delays a load";
  test::check_each_order_is_needed<TraceSuite>(
      20'000, {"trace_lease.hpp"},
      {{{"client: trace_lease.hpp TraceLeaseConsumer::ask store(release)", Weakening::no_release}, kAnnounced},
       {{"engine: trace_lease.hpp TraceLeaseProducer::is_asked load(acquire)", Weakening::no_acquire}, kAnnounced},
       {{"client: trace_lease.hpp TraceLeaseConsumer::begin_block store(release)", Weakening::no_release},
        kLoadBuffering},
       {{"engine: trace_lease.hpp TraceLeaseProducer::look load(acquire)", Weakening::no_acquire}, kLoadBuffering}});
}
