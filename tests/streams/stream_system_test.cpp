// Streams of real processes through a real engine to a real host.

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/broker/process.hpp"
#include "tests/host/host_process.hpp"
#include "tests/streams/real_stream.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/leaks.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kProcesses = 32;
constexpr std::uint32_t kRounds = 12;
constexpr std::uint32_t kTogether = 8;  // messages of a round

std::string message_of(std::uint32_t process, std::uint32_t number, std::mt19937& random) {
  auto key = std::to_string(process) + "/" + std::to_string(number) + "/";
  key.resize(16, '.');
  std::string text = key;
  for (auto left = random() % 3000; left > 0; --left) text += static_cast<char>(random());
  return text;
}

// What one process does; 0: it got exactly its own answers.
int converse(const config::Config& config, std::uint32_t process) {
  const RealStream stream(config);
  if (stream.error() != 0) return 1;
  const bool in_order = config.upstreams[0].streams.order == config::StreamOrder::as_asked;
  std::mt19937 random(static_cast<std::uint32_t>(seed()) + process);
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    std::vector<std::string> asked;
    for (std::uint32_t i = 0; i < kTogether; ++i) {
      asked.push_back(message_of(process, round * kTogether + i, random));
      if (!stream.write(framed(asked.back()))) return 2;
    }
    std::multiset<std::string> left(asked.begin(), asked.end());
    for (std::uint32_t i = 0; i < kTogether; ++i) {
      const auto answer = stream.read_message();
      if (in_order && answer != asked[i]) return 3;
      const auto found = left.find(answer);
      if (found == left.end()) return 4;
      left.erase(found);
    }
  }
  if (tmx_stream_shutdown(stream.get()) != 0 || stream.try_read() != 0) return 5;
  return has_leaks() ? 6 : 0;
}

void run_processes(config::StreamOrder order) {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo", "--jitter-us", "3000", "--out-of-order"});
  auto config = engine_config(folder, {host.port()});
  config.upstreams[0].sessions = 2;
  config.upstreams[0].streams.order = order;
  set_keyed(config.upstreams[0]);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);

  INFO("TLSMUX_SEED=", seed());
  std::vector<std::unique_ptr<ChildProcess>> processes;
  for (std::uint32_t i = 1; i <= kProcesses; ++i) {
    processes.push_back(std::make_unique<ChildProcess>([&config, i] { return converse(config, i); }));
  }
  for (auto& process : processes) CHECK(process->wait() == 0);
  CHECK(engine.log().count("event=session_ready") == 2);
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

}  // namespace

TEST_CASE("stream.32 processes on 2 sessions get their own answers as they come") {
  run_processes(config::StreamOrder::as_answered);
}

TEST_CASE("stream.32 processes on 2 sessions get their own answers as they asked") {
  run_processes(config::StreamOrder::as_asked);
}

TEST_CASE("stream.poll tells the truth about a stream of a real engine") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  {
    const RealStream stream(config, TMX_STREAM_NONBLOCKING);
    REQUIRE(stream.error() == 0);
    REQUIRE(tmx_stream_await_open(stream.get(), 20'000) == 0);
    CHECK_FALSE(stream.is(POLLIN, 0));
    CHECK(stream.try_read() == -EAGAIN);
    REQUIRE(stream.write(framed("hello")));
    REQUIRE(stream.is(POLLIN, 20'000));
    CHECK(stream.read_message() == "hello");
    CHECK_FALSE(stream.is(POLLIN, 0));

    // Not read from: at last it is not writable, and the engine holds no more than it may.
    const auto message = framed(std::string(4000, 'x'));
    std::string rest;
    std::size_t written = 0;
    while (written < 64'000'000) {
      if (rest.empty()) rest = message;
      const auto result = tmx_stream_write(stream.get(), rest.data(), rest.size());
      if (result == -EAGAIN && !stream.is(POLLOUT, 500)) break;
      if (result > 0) {
        written += static_cast<std::size_t>(result);
        rest.erase(0, static_cast<std::size_t>(result));
      }
    }
    CHECK(written < 8'000'000);
    // All of it is answered once it is read.
    std::size_t got = 0;
    std::array<char, 65536> buffer{};
    while (got < written - written % message.size()) {
      const auto result = tmx_stream_read(stream.get(), buffer.data(), buffer.size());
      if (result == -EAGAIN) REQUIRE(stream.is(POLLIN, 20'000));
      if (result > 0) got += static_cast<std::size_t>(result);
      REQUIRE((result > 0 || result == -EAGAIN));
    }
    CHECK(stream.is(POLLOUT, 20'000));
  }
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

}  // namespace tlsmux::test
