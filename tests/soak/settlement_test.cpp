#include "tests/soak/settlement.hpp"

#include <fstream>

#include <doctest/doctest.h>

#include "tests/demo/purchase.hpp"
#include "tests/host/record.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::soak {
namespace {

using test::Fate;
using test::LedgerEntry;

struct Bench {
  test::TemporaryFolder folder;
  std::string record = folder.path("record");
  Settlement settlement{{record}};

  static LedgerEntry entry(std::uint64_t sequence, Fate fate, std::uint32_t client = 1) {
    return {.sequence = sequence, .client = client, .bytes = 4, .hash = host::fnv1a64("body"), .fate = fate};
  }
  void receive(const std::string& key, const std::string& body = "body") const {
    std::ofstream file(record, std::ios::app);
    file << "received 1 1 " << key << ' ' << body.size() << ' ' << std::hex << host::fnv1a64(body) << '\n';
  }
  void receive(std::uint64_t sequence) const { receive(test::key_text(1, sequence)); }
};

}  // namespace

TEST_CASE("faults.a settlement over phases finds nothing where all is true") {
  Bench bench;
  bench.receive(1);
  CHECK(bench.settlement.end_phase({Bench::entry(1, Fate::answered), Bench::entry(2, Fate::not_sent)}).empty());
  bench.receive(3);
  CHECK(bench.settlement.end_phase({Bench::entry(3, Fate::maybe_sent), Bench::entry(4, Fate::maybe_sent)}).empty());
  bench.receive(4);  // late
  const demo::RequestId purchase{.authorizer = 2, .request = 7};
  bench.receive(demo::record_key(purchase));
  CHECK(bench.settlement.end_phase({Bench::entry(7, Fate::answered, kIsoClients + 2)}).empty());
  CHECK(bench.settlement.finish().empty());
  CHECK(bench.settlement.finish().empty());
  const auto& tally = bench.settlement.tally();
  CHECK(tally.requests == 5);
  CHECK(tally.answered == 2);
  CHECK(tally.not_sent == 1);
  CHECK(tally.maybe_sent == 2);
  CHECK(tally.received == 4);
  CHECK(tally.false_outcomes == 0);
}

TEST_CASE("faults.a settlement over phases finds each thing that is not true") {
  Bench bench;
  SUBCASE("answered, and never received") { bench.settlement.end_phase({Bench::entry(1, Fate::answered)}); }
  SUBCASE("not sent, and received in the next phase") {
    bench.settlement.end_phase({Bench::entry(1, Fate::not_sent)});
    bench.receive(1);
  }
  SUBCASE("received in each of two phases") {
    bench.receive(1);
    bench.settlement.end_phase({Bench::entry(1, Fate::maybe_sent)});
    bench.receive(1);
  }
  SUBCASE("of a client that was killed, received twice") {
    bench.receive(1);
    bench.settlement.end_phase({});
    bench.receive(1);
  }
  SUBCASE("ended twice") {
    bench.settlement.end_phase({Bench::entry(1, Fate::not_sent), Bench::entry(1, Fate::maybe_sent)});
  }
  SUBCASE("another message") {
    bench.receive(test::key_text(1, 1), "other");
    bench.settlement.end_phase({Bench::entry(1, Fate::maybe_sent)});
  }
  CHECK(bench.settlement.finish().size() == 1);
  CHECK(bench.settlement.tally().false_outcomes == 1);
}

TEST_CASE("faults.a settlement over phases finds what ends again a phase later") {
  Bench bench;
  bench.settlement.end_phase({Bench::entry(1, Fate::not_sent)});
  CHECK(bench.settlement.end_phase({Bench::entry(1, Fate::not_sent)}).size() == 1);
}

}  // namespace tlsmux::soak
