#include "engine/workers/workers.hpp"

#include <doctest/doctest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <barrier>
#include <latch>
#include <map>
#include <optional>
#include <string>

#include "tests/engine/mailbox_wait.hpp"
#include "tests/engine/scripted_session.hpp"

using namespace tlsmux;
using engine::HandshakeJob;
using engine::HandshakeResult;
using engine::Mailbox;
using engine::WorkerResult;
using engine::Workers;
using engine::tls::HandshakeState;
using engine::tls::TlsError;
using test::ScriptedSession;

namespace {

using StepResult = std::expected<HandshakeState, TlsError>;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

HandshakeJob job_of(
    engine::mux::SessionId session, ScriptedSession::Step step, const std::string& received = "",
    std::function<void()> at_end = [] {}) {
  return {.session = session,
          .tls = std::make_unique<ScriptedSession>(std::move(step), std::move(at_end)),
          .received = bytes_of(received)};
}

StepResult finish(std::span<const std::byte>, std::vector<std::byte>&) { return HandshakeState::done; }

}  // namespace

TEST_CASE("engine.workers hand every session back with its own result") {
  constexpr std::uint32_t kSessions = 200;
  Mailbox<WorkerResult> results;
  Workers workers(results, 4);
  std::map<std::uint32_t, const engine::tls::TlsSession*> sessions;
  for (std::uint32_t i = 0; i < kSessions; ++i) {
    auto job = job_of(
        {.index = i, .generation = i + 7},
        [i](std::span<const std::byte> received, std::vector<std::byte>& output) -> StepResult {
          output.assign(received.rbegin(), received.rend());
          if (i % 3 == 0) return HandshakeState::wants_bytes;
          if (i % 3 == 1) return HandshakeState::done;
          return std::unexpected(TlsError{.reason = shm::Reason::certificate_expired, .words = std::to_string(i)});
        },
        "from host " + std::to_string(i));
    sessions[i] = job.tls.get();
    REQUIRE(workers.submit(std::move(job)));
  }
  for (auto& value : test::take_count(results, kSessions)) {
    const auto& result = std::get<HandshakeResult>(value);
    const auto i = result.session.index;
    CAPTURE(i);
    CHECK(result.session.generation == i + 7);
    const auto found = sessions.find(i);
    REQUIRE(found != sessions.end());
    CHECK(result.tls.get() == found->second);
    sessions.erase(found);
    const auto received = bytes_of("from host " + std::to_string(i));
    CHECK(result.output == std::vector(received.rbegin(), received.rend()));
    REQUIRE(result.state.has_value() == (i % 3 != 2));
    if (result.state) {
      CHECK(*result.state == (i % 3 == 0 ? HandshakeState::wants_bytes : HandshakeState::done));
    } else {
      CHECK(result.state.error().reason == shm::Reason::certificate_expired);
      CHECK(result.state.error().words == std::to_string(i));
    }
  }
  CHECK(sessions.empty());
}

TEST_CASE("engine.workers take a session through many steps on many threads") {
  // The counter is a plain variable: only the hand-over keeps the threads from racing on it.
  constexpr int kSteps = 50;
  constexpr std::uint32_t kSessions = 8;
  Mailbox<WorkerResult> results;
  Workers workers(results, 3);
  for (std::uint32_t i = 0; i < kSessions; ++i) {
    REQUIRE(workers.submit(job_of({.index = i, .generation = 0}, [steps = 0](auto, auto& output) mutable -> StepResult {
      output.push_back(static_cast<std::byte>(++steps));
      return steps == kSteps ? HandshakeState::done : HandshakeState::wants_bytes;
    })));
  }
  std::array<int, kSessions> steps{};
  for (std::uint32_t done = 0; done < kSessions;) {
    for (auto& value : test::take_count(results, 1)) {
      auto& result = std::get<HandshakeResult>(value);
      ++steps[result.session.index];
      CHECK(result.output == std::vector{static_cast<std::byte>(steps[result.session.index])});
      if (result.state == HandshakeState::done) {
        ++done;
      } else {
        REQUIRE(workers.submit({.session = result.session, .tls = std::move(result.tls), .received = {}}));
      }
    }
  }
  for (const int count : steps) CHECK(count == kSteps);
}

TEST_CASE("engine.workers run as many steps at once as there are threads") {
  constexpr int kThreads = 3;
  std::barrier<> all_inside(kThreads);
  Mailbox<WorkerResult> results;
  Workers workers(results, kThreads);
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    REQUIRE(workers.submit(job_of({.index = i, .generation = 0}, [&](auto, auto&) -> StepResult {
      all_inside.arrive_and_wait();  // passes only when all are here together
      return HandshakeState::done;
    })));
  }
  CHECK(test::take_count(results, kThreads).size() == kThreads);
}

TEST_CASE("engine.workers drop the jobs not begun at the end") {
  constexpr int kWaiting = 10;
  std::latch begun(1);
  std::latch dropped(kWaiting);
  std::atomic<int> run = 0;
  Mailbox<WorkerResult> results;
  {
    Workers workers(results, 1);
    REQUIRE(workers.submit(job_of({.index = 99, .generation = 0}, [&](auto, auto&) -> StepResult {
      begun.count_down();
      dropped.wait();  // the end must drop the others without waiting for this one
      return HandshakeState::done;
    })));
    begun.wait();
    for (std::uint32_t i = 0; i < kWaiting; ++i) {
      const auto step = [&](auto, auto&) -> StepResult {
        ++run;
        return HandshakeState::done;
      };
      REQUIRE(workers.submit(job_of({.index = i, .generation = 0}, step, "", [&] { dropped.count_down(); })));
    }
  }
  CHECK(run == 0);
  const auto values = results.take();
  REQUIRE(values.size() == 1);
  CHECK(std::get<HandshakeResult>(values[0]).session.index == 99);
}

TEST_CASE("engine.workers refuse a job when the queue is full and leave it with the caller") {
  std::latch begun(1);
  std::latch go_on(1);
  Mailbox<WorkerResult> results;
  Workers workers(results, 1, 2);
  REQUIRE(workers.submit(job_of({.index = 0, .generation = 0}, [&](auto, auto&) -> StepResult {
    begun.count_down();
    go_on.wait();
    return HandshakeState::done;
  })));
  begun.wait();
  REQUIRE(workers.submit(job_of({.index = 1, .generation = 0}, finish)));
  REQUIRE(workers.submit(job_of({.index = 2, .generation = 0}, finish)));
  auto one_too_many = job_of({.index = 3, .generation = 0}, finish, "kept");
  CHECK(!workers.submit(std::move(one_too_many)));
  CHECK(one_too_many.tls != nullptr);  // NOLINT(bugprone-use-after-move): who is refused keeps it, that is asked
  CHECK(one_too_many.received == bytes_of("kept"));
  go_on.count_down();
  CHECK(test::take_count(results, 3).size() == 3);
  CHECK(workers.submit(std::move(one_too_many)));
  CHECK(test::take_count(results, 1).size() == 1);
}

TEST_CASE("engine.workers are threads named tmx-worker") {
  std::array<char, 16> name{};
  Mailbox<WorkerResult> results;
  Workers workers(results, 1);
  REQUIRE(workers.submit(job_of({}, [&](auto, auto&) -> StepResult {
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    return HandshakeState::done;
  })));
  test::take_count(results, 1);
  CHECK(std::string(name.data()) == "tmx-worker");
}
