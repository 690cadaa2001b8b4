// Trace numbers of a small range over engines and brokers that are killed while processes take them, into the next
// round: more than a minute, most of it the rest that numbers have.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "engine/shard/trace_numbers.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kNobodyThere = 9;  // no session is needed for a number
constexpr std::uint32_t kLast = 2000;

struct Taken {
  std::int64_t time_ns = 0;
  std::uint32_t number = 0;
};

std::int64_t now_ns() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// A process that takes a number every some milliseconds and tells it at once, whatever becomes of the engine.
int take_numbers(const config::Config& config, int to) {
  auto options = attach_options(config);
  options.timeout_ms = 500;
  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
  if (tmx_attach(&options, &client) != 0) return 1;
  if (tmx_channel_open(client, config.upstreams[0].name.c_str(), &channel) != 0) return 2;
  for (;;) {
    tmx_completion nothing;
    if (tmx_poll(channel, &nothing, 1, 10) < 0) return 3;
    Taken taken;
    const int error = tmx_next_trace_number(channel, &taken.number);
    if (error == -ETIMEDOUT || error == -ENOTCONN) continue;
    if (error != 0) return 4;
    taken.time_ns = now_ns();
    if (::write(to, &taken, sizeof taken) != sizeof taken) return 5;
  }
}

// Processes that take numbers, until they are killed.
class Takers {
 public:
  explicit Takers(const config::Config& config) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    from_ = shm::UniqueFd(ends[0]);
    const shm::UniqueFd to(ends[1]);
    for (auto& pid : pids_) {
      pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) ::_exit(take_numbers(config, to.get()));
    }
  }
  ~Takers() {
    for (const auto pid : pids_) {
      ::kill(pid, SIGKILL);
      CHECK(reap(pid) == 128 + SIGKILL);
    }
  }
  Takers(const Takers&) = delete;
  Takers& operator=(const Takers&) = delete;

  // Until so many have been taken in all.
  void await(std::size_t count) {
    while (taken.size() < count) {
      Taken each;
      REQUIRE(::read(from_.get(), &each, sizeof each) == sizeof each);
      taken.push_back(each);
    }
  }

  std::vector<Taken> taken;

 private:
  shm::UniqueFd from_;
  std::array<pid_t, 4> pids_{};
};

void check_rests(std::vector<Taken>& all) {
  std::ranges::sort(all, {}, &Taken::time_ns);
  std::map<std::uint32_t, std::int64_t> last_ns;
  std::size_t again = 0;
  for (const auto& each : all) {
    CHECK(each.number >= 1);
    CHECK(each.number <= kLast);
    const auto [last, is_first] = last_ns.try_emplace(each.number, each.time_ns);
    if (is_first) continue;
    ++again;
    CHECK(each.time_ns - last->second >= static_cast<std::int64_t>(engine::kTraceRestNs));
    last->second = each.time_ns;
  }
  CHECK(again > 0);
  MESSAGE(all.size(), " numbers of ", kLast, ", ", again, " of them for the second time");
}

}  // namespace

TEST_CASE("engine.a small range of trace numbers goes round over killed engines and brokers") {
  const Residue residue;
  const TemporaryFolder folder;
  auto config = engine_config(folder, {kNobodyThere});
  config.upstreams[0].trace_numbers = {.first = 1, .last = kLast, .block = 5};
  std::optional<EngineProcess> engine;
  engine.emplace(folder, config);
  Takers takers(config);
  for (const std::size_t count : {200, 300, 800}) {
    takers.await(count);
    engine->kill_engine();
  }
  takers.await(1200);
  engine->kill_broker();
  engine.reset();
  engine.emplace(folder, config);
  takers.await(2100);  // in the second round
  engine->kill_engine();
  takers.await(2400);
  check_rests(takers.taken);
}

TEST_CASE("engine.a channel that only counts learns in time that its trace numbers are not its own any more") {
  const Residue residue;
  const TemporaryFolder folder;
  auto config = engine_config(folder, {kNobodyThere});
  config.upstreams[0].trace_numbers.block = 4096;
  EngineProcess engine(folder, config);
  const Requester requester(config);
  std::uint32_t last = 0;
  REQUIRE(tmx_next_trace_number(requester.channel(), &last) == 0);
  engine.kill_engine();
  const auto killed = Clock::now();
  std::uint32_t counted = 0;
  for (std::uint32_t number = 0; Clock::now() < killed + std::chrono::nanoseconds(engine::kTraceRestNs);
       last = number) {
    ::poll(nullptr, 0, 10);
    const int error = tmx_next_trace_number(requester.channel(), &number);
    if (error == -ENOTCONN) continue;
    REQUIRE(error == 0);
    if (number != last + 1) break;
    ++counted;
  }
  CHECK(counted > 0);  // it is not asked of the kernel for each number
  CHECK(counted < 4095);
  CHECK(Clock::now() < killed + std::chrono::nanoseconds(engine::kTraceRestNs));
}

}  // namespace tlsmux::test
