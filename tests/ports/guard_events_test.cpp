// What the guard tells of binds.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"

namespace tlsmux::test {
namespace {

using ports::Guard;
using ports::GuardEvent;
using ports::GuardEvents;

constexpr std::uint16_t kPort = 2000;

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

bool is_readable(int descriptor, int patience_ms) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, patience_ms) == 1;
}

GuardEvents events_of(const Guard& guard) {
  auto events = GuardEvents::open(guard.event_descriptors());
  REQUIRE_MESSAGE(events, events.error());
  return *std::move(events);
}

}  // namespace

TEST_CASE("ports.guard tells of denied binds and of members' binds, and of no others") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto rules = guarding({udp(kPort + 1)}, "SHOP");
  rules.services.push_back(guarding({tcp(kPort)}).services.front());
  const auto guard = rig.put(rig.place(), rules);
  REQUIRE_MESSAGE(guard, guard.error());
  auto events = events_of(*guard);
  CHECK(events.take().empty());
  CHECK_FALSE(is_readable(events.descriptor(), 0));

  const auto before = now_ns();
  pid_t pid = 0;
  CHECK(rig.as(kStrangerIdentity, [] { return bind_socket(make_socket().get(), kPort); }) == EACCES);
  CHECK(rig.bind(kMemberIdentity, kPort) == 0);
  CHECK(rig.bind(kGroupIdentity, kPort + 1, {.family = AF_INET6, .type = SOCK_DGRAM}) == 0);
  CHECK(rig.bind(kStrangerIdentity, kPort + 2) == 0);
  const auto after = now_ns();

  REQUIRE(is_readable(events.descriptor(), 0));
  const auto told = events.take();
  REQUIRE(told.size() == 3);
  for (const auto& event : told) {
    CHECK(event.at_ns > before);
    CHECK(event.at_ns < after);
    CHECK(event.program == "guard_events_te");  // 15 bytes, as in /proc/PID/comm
    CHECK(static_cast<pid_t>(event.pid) > std::exchange(pid, static_cast<pid_t>(event.pid)));
  }
  CHECK(told[0].is_denied);
  CHECK(told[0].port == tcp(kPort));
  CHECK(told[0].uid == kStranger);
  CHECK(told[0].gid == 1800);
  CHECK(told[0].service == 1);
  CHECK_FALSE(told[1].is_denied);
  CHECK(told[1].uid == kMember);
  CHECK_FALSE(told[2].is_denied);
  CHECK(told[2].port == udp(kPort + 1));
  CHECK(told[2].gid == kMemberGroup);
  CHECK(told[2].service == 0);
  CHECK(events.denials() == 1);
  CHECK(events.lost() == 0);
  CHECK(events.take().empty());
}

TEST_CASE("ports.guard tells which port the kernel chose, and nothing of a bind that failed for another reason") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  rig.network().set_sysctl("net/ipv4/ip_local_port_range", "40000\t40000");
  const auto guard = rig.put(rig.place(), guarding({tcp(40000)}));
  REQUIRE_MESSAGE(guard, guard.error());
  auto events = events_of(*guard);
  CHECK(rig.bind(kMemberIdentity, 0) == 0);
  CHECK(rig.bind(kStrangerIdentity, 0) == EACCES);
  CHECK(rig.as(kMemberIdentity, [] {
    const SocketKind alone{.reuses_address = false};
    const auto first = make_socket(alone);
    return bind_socket(first.get(), 40000) == 0 ? bind_socket(make_socket(alone).get(), 40000) : -1;
  }) == EADDRINUSE);
  const auto told = events.take();
  REQUIRE(told.size() == 3);
  CHECK(told[0].port == tcp(40000));
  CHECK_FALSE(told[0].is_denied);
  CHECK(told[1].port == tcp(40000));
  CHECK(told[1].is_denied);
  CHECK_FALSE(told[2].is_denied);
}

TEST_CASE("ports.guard tells a process without privilege, through inherited descriptors") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  auto descriptors = guard->event_descriptors();
  const int code = rig.network().in_process(
      [&] {
        auto events = GuardEvents::open(std::move(descriptors));
        if (!events) return 1;
        if (!is_readable(events->descriptor(), 0)) return 2;
        const auto told = events->take();
        if (told.size() != 1 || told[0].uid != kStranger || !told[0].is_denied) return 3;
        return events->denials() == 1 && events->lost() == 0 ? 0 : 4;
      },
      {.uid = 65534, .gid = 65534});
  CHECK(code == 0);
  // Taken out once, whoever takes it.
  CHECK(events_of(*guard).take().empty());
}

TEST_CASE("ports.guard wakes who waits for events") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  auto events = events_of(*guard);
  for (int round = 0; round < 20; ++round) {
    int error = 0;
    std::thread binder([&] { error = rig.bind(kStrangerIdentity, kPort); });
    CHECK(is_readable(events.descriptor(), 20'000));
    binder.join();
    CHECK(error == EACCES);
    CHECK(events.take().size() == 1);
  }
}

TEST_CASE("ports.guard counts the events that it had no room for") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({udp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  auto events = events_of(*guard);
  constexpr std::uint64_t kBinds = 6'000;
  const auto bind_often = [&] {
    return rig.as(kStrangerIdentity, [] {
      const auto socket = make_socket({.type = SOCK_DGRAM});
      for (std::uint64_t bind = 0; bind < kBinds; ++bind) {
        if (bind_socket(socket.get(), kPort) != EACCES) return 1;
      }
      return 0;
    });
  };
  CHECK(bind_often() == 0);
  CHECK(events.denials() == kBinds);
  CHECK(events.lost() > 0);
  const auto lost = events.lost();
  CHECK(events.take().size() + lost == kBinds);
  // There is room again, and the ring goes round.
  CHECK(bind_often() == 0);
  CHECK(events.take().size() + events.lost() - lost == kBinds);
  CHECK(events.denials() == 2 * kBinds);
}

TEST_CASE("ports.guard keeps events for the next reader over a change of the loader") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  {
    const auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
    REQUIRE_MESSAGE(guard, guard.error());
    CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  }
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  auto events = events_of(*guard);
  CHECK(events.take().size() == 2);
  CHECK(events.denials() == 2);
}

}  // namespace tlsmux::test
