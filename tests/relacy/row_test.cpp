// shm/row.hpp under relaxed memory: what a reader keeps of a row is one version of it, whole.
#include "shm/row.hpp"

#include "shm/layout_words.hpp"
#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

struct alignas(8) Row {
  RowSequence sequence;
  std::uint32_t second;
  std::uint64_t third;
};

template <std::uint32_t versions>
struct RowSuite : rl::test_suite<RowSuite<versions>, 2> {
  test::WatchedWords words;
  Row& shared = test::made_anew<Row>();

  RowSuite() {
    words.watch(shared.sequence);
    words.watch(shared.second);
    words.watch(shared.third);
  }

  static std::vector<std::string> roles() { return {"engine", "reader"}; }
  void thread(unsigned index) { index == 0 ? write() : read(); }

  void write() {
    for (std::uint32_t version = 1; version <= versions; ++version) {
      Row row{};
      row.second = version;
      row.third = version;
      write_row(shared, row);
    }
  }

  void read() {
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < versions; ++i) {
      Row row{};
      if (!read_row(shared, row)) continue;
      RL_ASSERT(row.second == row.third);
      RL_ASSERT(row.second >= last);
      last = row.second;
    }
  }
};

}  // namespace

TEST_CASE("relacy.row is read whole or not at all") {
  // Not bounded_search: a reader beside a writer that stands still tries very often.
  test::check_nothing_is_found<RowSuite<3>>("3 versions", test::RandomSearch{200'000});
}

TEST_CASE("relacy.row needs its fences and memory orders") {
  test::check_each_order_is_needed<RowSuite<3>>(20'000, {"row.hpp"}, {});
}
