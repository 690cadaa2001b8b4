// Trace numbers of a real engine: once in a round, over threads, processes, groups and engines that are killed.

#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/faults/raw_channel.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint16_t kNobodyThere = 9;  // no session is needed for a number

config::Config config_in(const TemporaryFolder& folder, std::uint32_t last, std::uint32_t block) {
  auto config = engine_config(folder, {kNobodyThere});
  config.upstreams[0].trace_numbers = {.first = 1, .last = last, .block = block};
  return config;
}

using Numbers = std::vector<std::uint32_t>;

std::uint32_t next_number(tmx_channel* channel) {
  std::uint32_t number = 0;
  int error = 0;
  do {
    error = tmx_next_trace_number(channel, &number);
  } while (error == -ENOTCONN);  // between two engines
  return error == 0 ? number : 0;
}

// In a process of its own, which sends what it took through a pipe.
class Taker {
 public:
  Taker(const config::Config& config, std::uint32_t count) : config_(config), count_(count) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) ::_exit(take(ends[1]));
    ::close(ends[1]);
    pipe_ = shm::UniqueFd(ends[0]);
  }

  Numbers wait() {
    Numbers numbers(count_ + 1);
    std::size_t bytes = 0;
    for (ssize_t got = 1; got > 0 && bytes < numbers.size() * 4; bytes += static_cast<std::size_t>(got)) {
      got = ::read(pipe_.get(), reinterpret_cast<char*>(numbers.data()) + bytes, numbers.size() * 4 - bytes);
      REQUIRE(got >= 0);
    }
    CHECK(reap(pid_) == 0);
    numbers.resize(bytes / 4);
    return numbers;
  }

 private:
  int take(int to) const {
    const auto options = attach_options(config_);
    tmx_client* client = nullptr;
    tmx_channel* channel = nullptr;
    if (tmx_attach(&options, &client) != 0) return 1;
    if (tmx_channel_open(client, config_.upstreams[0].name.c_str(), &channel) != 0) return 2;
    Numbers numbers;
    while (numbers.size() < count_) numbers.push_back(next_number(channel));
    if (tmx_channel_close(channel) != 0 || tmx_detach(client) != 0) return 3;
    const auto bytes = static_cast<ssize_t>(numbers.size() * 4);
    return ::write(to, numbers.data(), numbers.size() * 4) == bytes ? 0 : 4;
  }

  const config::Config& config_;
  std::uint32_t count_;
  pid_t pid_ = -1;
  shm::UniqueFd pipe_;
};

void add_all(std::set<std::uint32_t>& seen, const Numbers& numbers) {
  for (const auto number : numbers) {
    CHECK(number != 0);
    CHECK(seen.insert(number).second);
  }
}

}  // namespace

TEST_CASE("engine.trace numbers are unique over threads, processes and killed engines") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = config_in(folder, 999'999, 16);
  EngineProcess engine(folder, config);
  std::set<std::uint32_t> seen;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Taker>> takers;
    for (int i = 0; i < 4; ++i) takers.push_back(std::make_unique<Taker>(config, 1000));
    if (round < 2) engine.kill_engine();  // while they take, or a moment before or after
    for (const auto& taker : takers) {
      const auto numbers = taker->wait();
      CHECK(numbers.size() == 1000);
      add_all(seen, numbers);
    }
  }
  std::vector<Numbers> of_threads(3);
  std::vector<std::thread> threads;
  Requester first(config);
  Requester second(config);
  Requester third(config);
  const std::array requesters{&first, &second, &third};
  for (std::size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 500; ++n) of_threads[i].push_back(next_number(requesters[i]->channel()));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& numbers : of_threads) add_all(seen, numbers);
  CHECK(seen.size() == 12'000 + 1500);
}

TEST_CASE("engine.trace numbers go on where the last tlsmuxd stopped") {
  const Residue residue;
  const TemporaryFolder folder;
  auto config = config_in(folder, 999'999, 16);
  std::set<std::uint32_t> seen;
  for (int round = 0; round < 2; ++round) {
    EngineProcess engine(folder, config);
    const Requester requester(config);
    for (int i = 0; i < 100; ++i) CHECK(seen.insert(next_number(requester.channel())).second);
    CHECK(engine.stop() == 0);
  }
}

TEST_CASE("engine.a used up range of trace numbers gives none a second time") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = config_in(folder, 64, 4);
  EngineProcess engine(folder, config);
  auto options = attach_options(config);
  options.timeout_ms = 300;
  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_attach(&options, &client) == 0);
  REQUIRE(tmx_channel_open(client, config.upstreams[0].name.c_str(), &channel) == 0);
  // The first chunk begins somewhere, by the time of day; what lies before it waits for a minute after the start.
  std::set<std::uint32_t> seen;
  std::uint32_t number = 0;
  int error = 0;
  while ((error = tmx_next_trace_number(channel, &number)) == 0) {
    REQUIRE(seen.insert(number).second);
    REQUIRE(number >= 1);
    REQUIRE(number <= 64);
  }
  CHECK(error == -ETIMEDOUT);
  CHECK(!seen.empty());
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("hostile.a client that lies about its trace numbers is let go of") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = config_in(folder, 999'999, 16);
  EngineProcess engine(folder, config);
  for (const std::uint32_t taken : {1U, 5U, 0xffffffffU}) {
    RawChannel raw(config, config.upstreams[0].name);
    auto& lease = raw.header().trace_numbers;
    lease.taken.store(taken);
    lease.asked.store(1);
    raw.words().ready.fetch_or(1);
    raw.ring();
    CHECK(raw.await_detachment().contains("trace lease"));
  }
  const Requester neighbour(config);
  CHECK(next_number(neighbour.channel()) != 0);
}

}  // namespace tlsmux::test
