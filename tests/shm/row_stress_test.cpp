// A reader of a row never sees a half-written one, however fast the writer is.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <memory>

#include "shm/control_protocol.hpp"
#include "shm/layout.hpp"
#include "shm/row.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

// The content of a row follows from one number, so that a torn row shows.
void fill(SessionRow& row, std::uint64_t number) {
  row.upstream = static_cast<std::uint32_t>(number);
  row.in_flight = static_cast<std::uint32_t>(~number);
  row.since_s = static_cast<std::int64_t>(number * 3);
  row.requests = number;
  row.address.fill(static_cast<char>(number));
  row.tls_version.fill(static_cast<char>(number >> 8));
  row.suite.fill(static_cast<char>(number + 1));
  row.resumed = static_cast<std::uint32_t>(number * 5);
}

void write_number(SessionRow& shared, std::uint64_t number) {
  SessionRow row{};
  fill(row, number);
  write_row(shared, row);
}

bool is_whole(const SessionRow& row) {
  SessionRow expected{};
  fill(expected, row.requests);
  return row.upstream == expected.upstream && row.in_flight == expected.in_flight && row.since_s == expected.since_s &&
         row.address == expected.address && row.tls_version == expected.tls_version && row.suite == expected.suite &&
         row.resumed == expected.resumed;
}

}  // namespace

TEST_CASE("segment.row of a table is read as it was written") {
  SessionRow shared{};
  SessionRow row{};
  row.upstream = 3;
  row.state = SessionState::ready;
  row.since_s = 1'700'000'000;
  set_text(row.address, "127.0.0.1:9001");
  row.resumed = 1;
  write_row(shared, row);
  SessionRow copy{};
  REQUIRE(read_row(shared, copy));
  CHECK(copy.upstream == 3);
  CHECK(copy.state == SessionState::ready);
  CHECK(copy.since_s == 1'700'000'000);
  CHECK(text_of(copy.address) == "127.0.0.1:9001");
  CHECK(copy.resumed == 1);
  CHECK(shared.sequence == 2);
}

TEST_CASE("segment.row whose writer died in the middle is not taken for whole") {
  const auto shared = std::make_unique<SessionRow>();
  write_number(*shared, 1);
  shared->sequence.fetch_add(1);
  SessionRow copy{};
  CHECK(!read_row(*shared, copy));
}

TEST_CASE("segment.row stress shows no torn row") {
  constexpr std::uint64_t kDifferentRows = 50'000;  // to be read while the writer goes on
  const auto shared = std::make_unique<SessionRow>();
  write_number(*shared, 0);
  std::atomic<bool> enough = false;
  std::uint64_t whole = 0;
  std::uint64_t torn = 0;
  std::uint64_t back_in_time = 0;
  const auto write = [&] {
    test::Jitter jitter(test::seed());
    for (std::uint64_t number = 1; !enough; ++number) {
      write_number(*shared, number);
      for (auto pauses = jitter.next() % 4; pauses > 0; --pauses) jitter.wait();  // else a reader hardly finds a gap
      if (number % 64 == 0) ::sched_yield();
    }
  };
  const auto read = [&] {
    SessionRow copy{};
    std::uint64_t last = 0;
    for (std::uint64_t different = 0; different < kDifferentRows && torn == 0;) {
      if (!read_row(*shared, copy)) continue;
      is_whole(copy) ? ++whole : ++torn;
      if (copy.requests < last) ++back_in_time;
      if (copy.requests != last) ++different;
      last = copy.requests;
    }
    enough = true;
  };
  test::run_two_threads(write, read);
  std::printf("rows read whole %llu, torn %llu\n", static_cast<unsigned long long>(whole),
              static_cast<unsigned long long>(torn));
  CHECK(torn == 0);
  CHECK(back_in_time == 0);
  CHECK(whole >= kDifferentRows);
}
