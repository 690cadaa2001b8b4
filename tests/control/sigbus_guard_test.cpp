#include "engine/control/sigbus_guard.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <span>
#include <thread>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::control::SigbusGuard;

namespace {

constexpr std::size_t kPages = 8;
constexpr std::size_t kBytes = kPages * 4096;

// Memory that can be taken away, as a client's cannot.
struct LosableMemory {
  shm::UniqueFd memfd{::memfd_create("tlsmux-test", MFD_CLOEXEC)};
  std::span<std::byte> bytes;

  LosableMemory() {
    REQUIRE(::ftruncate(memfd.get(), kBytes) == 0);
    void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get(), 0);
    REQUIRE(at != MAP_FAILED);
    bytes = {static_cast<std::byte*>(at), kBytes};
    bytes[0] = std::byte{1};
  }
  ~LosableMemory() { ::munmap(bytes.data(), kBytes); }
  void lose() const { REQUIRE(::ftruncate(memfd.get(), 0) == 0); }
};

void touch_all(std::span<std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 4096) {
    const auto byte = std::atomic_ref(bytes[at + 4095]).load(std::memory_order_relaxed);
    std::atomic_ref(bytes[at]).store(byte, std::memory_order_relaxed);
  }
}

bool readable(int fd) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) > 0;
}

}  // namespace

TEST_CASE("hostile.sigbus in a client's memory names the client and nobody else") {
  SigbusGuard guard(4);
  const LosableMemory victim;
  const LosableMemory other;
  CHECK(guard.add(7, victim.bytes));
  CHECK(guard.add(8, other.bytes));
  CHECK(!readable(guard.descriptor()));
  victim.lose();
  CHECK(victim.bytes[0] == std::byte{0});
  CHECK(readable(guard.descriptor()));
  CHECK(guard.take_faulted() == std::vector<std::uint64_t>{7});
  CHECK(!readable(guard.descriptor()));
  CHECK(guard.take_faulted().empty());
  CHECK(other.bytes[0] == std::byte{1});
}

TEST_CASE("hostile.sigbus in several threads at once is survived") {
  SigbusGuard guard(1);
  const LosableMemory victim;
  CHECK(guard.add(7, victim.bytes));
  victim.lose();
  std::thread one([&] { touch_all(victim.bytes); });
  std::thread two([&] { touch_all(victim.bytes); });
  touch_all(victim.bytes);
  one.join();
  two.join();
  CHECK(guard.take_faulted() == std::vector<std::uint64_t>{7});
}

TEST_CASE("engine.sigbus guard's table is bounded and its places are used again") {
  SigbusGuard guard(2);
  const LosableMemory memory;
  CHECK(guard.add(1, memory.bytes));
  CHECK(guard.add(2, memory.bytes));
  CHECK(!guard.add(3, memory.bytes));
  guard.remove(1);
  CHECK(guard.add(3, memory.bytes));
}

TEST_CASE("engine.sigbus guard that has grown guards old and new ranges") {
  SigbusGuard guard(1);
  const LosableMemory old_memory;
  const LosableMemory new_memory;
  const LosableMemory third;
  CHECK(guard.add(1, old_memory.bytes));
  guard.grow(2);
  CHECK(guard.add(2, new_memory.bytes));
  CHECK(guard.add(3, third.bytes));
  CHECK(!guard.add(4, third.bytes));
  old_memory.lose();
  new_memory.lose();
  CHECK(old_memory.bytes[0] == std::byte{0});
  CHECK(new_memory.bytes[0] == std::byte{0});
  CHECK(guard.take_faulted() == std::vector<std::uint64_t>{1, 2});
  guard.remove(3);
  CHECK(guard.add(4, third.bytes));
}

TEST_CASE("hostile.sigbus elsewhere ends the process as ever") {
  const auto fault = [](bool removed) {
    SigbusGuard guard(1);
    const LosableMemory memory;
    if (removed) {
      guard.add(7, memory.bytes);
      guard.remove(7);
    }
    memory.lose();
    touch_all(memory.bytes);
    return 0;
  };
  CHECK(test::ChildProcess([&] { return fault(false); }).wait() == 128 + SIGBUS);
  CHECK(test::ChildProcess([&] { return fault(true); }).wait() == 128 + SIGBUS);
  CHECK(test::ChildProcess([] {
          const SigbusGuard guard(1);
          return ::raise(SIGBUS);
        }).wait() == 128 + SIGBUS);
}
