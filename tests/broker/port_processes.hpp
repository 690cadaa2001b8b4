#pragma once

// What the tests of a broker's enforcement of ports begin with.

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

// A process of that user in the rig's namespace that is there and waits.
class Waiting {
 public:
  Waiting(const GuardRig& rig, const Identity& who)
      : process_([&]() -> int {
          rig.enter(who);
          if (::write(ends_[1], "x", 1) != 1) return 1;
          while (true) ::pause();
        }) {
    ::close(ends_[1]);
    char byte = 0;
    REQUIRE(::read(ends_[0], &byte, 1) == 1);
    ::close(ends_[0]);
  }
  [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(process_.pid()); }
  void kill() {
    process_.send_signal(SIGKILL);
    CHECK(process_.wait() == 128 + SIGKILL);
  }

 private:
  std::array<int, 2> ends_ = [] {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    return ends;
  }();
  ChildProcess process_;
};

// With a guard in the rig, and what is kept in the folder.
inline config::EngineSettings engine_of(const GuardRig& rig, const TemporaryFolder& folder) {
  config::EngineSettings engine;
  engine.control_socket = folder.path("control.sock");
  engine.port_guard = {.bpf_directory = rig.place().bpf_directory, .cgroup = rig.cgroup()};
  return engine;
}

}  // namespace tlsmux::test
