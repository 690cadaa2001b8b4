#pragma once

// A process that binds guarded ports all the time, and notes when a bind did not end as it should.

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {

class RestlessBinder {
 public:
  // Binds `port` by TCP and UDP, by IPv4 and IPv6; each is to end with this errno, or 0.
  RestlessBinder(const GuardRig& rig, const Identity& who, std::uint16_t port, int expected)
      : tally_(make_tally()), process_([&rig, &who, port, expected, tally = tally_.get()] {
          rig.enter(who);
          run(port, expected, *tally);
          return 0;
        }) {
    goes_on();
  }
  ~RestlessBinder() { tally_->stop = true; }
  RestlessBinder(const RestlessBinder&) = delete;
  RestlessBinder& operator=(const RestlessBinder&) = delete;

  [[nodiscard]] std::uint64_t binds() const { return tally_->binds; }
  [[nodiscard]] std::uint64_t wrong_ones() const { return tally_->wrong; }
  [[nodiscard]] int wrong_errno() const { return tally_->wrong_errno; }
  // Waits until it has bound some more.
  void goes_on() const {
    const auto until = binds() + 10;
    CHECK(eventually([&] { return binds() >= until; }));
  }

 private:
  struct Tally {
    std::atomic<bool> stop;
    std::atomic<std::uint64_t> binds;
    std::atomic<std::uint64_t> wrong;
    std::atomic<int> wrong_errno;
  };
  struct Unmap {
    void operator()(Tally* tally) const { ::munmap(tally, sizeof(Tally)); }
  };
  using SharedTally = std::unique_ptr<Tally, Unmap>;

  static SharedTally make_tally() {
    void* const memory = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return SharedTally(::new (memory) Tally{});
  }
  static void run(std::uint16_t port, int expected, Tally& tally) {
    while (!tally.stop) {
      for (const auto& kind : {SocketKind{}, SocketKind{.type = SOCK_DGRAM}, SocketKind{.family = AF_INET6},
                               SocketKind{.family = AF_INET6, .type = SOCK_DGRAM}}) {
        const int error = bind_socket(make_socket(kind).get(), port);
        ++tally.binds;
        if (error == expected) continue;
        tally.wrong_errno = error;
        ++tally.wrong;
      }
    }
  }

  SharedTally tally_;
  ChildProcess process_;
};

}  // namespace tlsmux::test
