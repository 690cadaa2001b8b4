// The wake rule at work: two processes that throw a message to and fro and sleep in between, in their own time.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "shm/doorbell.hpp"
#include "shm/ring.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kMessages = 100'000;
constexpr int kLostAfterMs = 20'000;  // far above any pause of a scheduler

struct Direction {
  RingIndexes indexes{};
  std::array<CompletionDescriptor, 32> entries{};
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> armed{0};
};

struct Shared {
  std::array<Direction, 2> directions;
};

struct Unmap {
  void operator()(Shared* shared) const { ::munmap(shared, sizeof *shared); }
};

// One process's end: it publishes in direction `out` and sleeps for direction `in`.
class End {
 public:
  End(Shared& shared, std::size_t out, int out_bell, int in_bell)
      : out_(shared.directions[out]), in_(shared.directions[1 - out]), out_bell_(out_bell), in_bell_(in_bell) {}

  void send(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) producer_.push({.tag = first + i});
    producer_.publish();
    if (must_ring(out_.armed)) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(out_bell_, &one, sizeof one);
    }
  }

  // Waits for the message. False when it is not the expected one, or lies there and no wake came.
  bool receive(std::uint64_t expected, int spins) {
    for (; spins > 0 && available() == 0; --spins) shm::pause_processor();
    while (available() == 0) {
      arm(in_.armed);
      if (available() > 0) {
        disarm(in_.armed);
        break;
      }
      pollfd wanted{.fd = in_bell_, .events = POLLIN, .revents = 0};
      if (::poll(&wanted, 1, kLostAfterMs) != 1) return false;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(in_bell_, &count, sizeof count);
    }
    const bool good = consumer_.take().tag == expected;
    consumer_.release();
    return good;
  }

 private:
  std::uint64_t available() { return consumer_.available().value_or(0); }

  Direction& out_;
  Direction& in_;
  int out_bell_;
  int in_bell_;
  RingProducer<CompletionDescriptor> producer_{&out_.indexes, out_.entries};
  RingConsumer<CompletionDescriptor> consumer_{&in_.indexes, in_.entries};
};

// Sends batches and waits for each message to come back. How many came back before the first failure.
std::uint64_t play_client(End end, std::uint64_t seed) {
  test::Jitter random(seed);
  for (std::uint64_t done = 0; done < kMessages;) {
    const auto batch = std::min(kMessages - done, 1 + random.next() % 16);
    end.send(done, batch);
    for (std::uint64_t i = 0; i < batch; ++i, ++done) {
      if (!end.receive(done, static_cast<int>(random.next() % 64))) return done;
    }
  }
  return kMessages;
}

bool play_engine(End end, std::uint64_t seed) {
  test::Jitter random(seed);
  for (std::uint64_t number = 0; number < kMessages; ++number) {
    if (!end.receive(number, static_cast<int>(random.next() % 64))) return false;
    end.send(number, 1);
  }
  return true;
}

}  // namespace

TEST_CASE("ring.wake between two processes that sleep is never lost") {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const std::unique_ptr<Shared, Unmap> shared(std::construct_at(static_cast<Shared*>(memory)));
  const UniqueFd to_engine(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd to_client(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto seed = test::seed();
  const pid_t engine = ::fork();
  REQUIRE(engine >= 0);
  if (engine == 0) ::_exit(play_engine(End(*shared, 1, to_client.get(), to_engine.get()), seed) ? 0 : 1);

  const auto came_back = play_client(End(*shared, 0, to_engine.get(), to_client.get()), seed + 1);
  CHECK(came_back == kMessages);
  if (came_back != kMessages) ::kill(engine, SIGKILL);
  int status = -1;
  REQUIRE(::waitpid(engine, &status, 0) == engine);
  CHECK(status == 0);
}
