// Changes of a guard while binds go on, and with the one who makes them killed at every step.

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ports/guard_rig.hpp"
#include "tests/ports/killed_at_call.hpp"
#include "tests/ports/restless_binder.hpp"
#include "tests/support/seed.hpp"

namespace tlsmux::test {
namespace {

using ports::Guard;
using ports::GuardPlace;
using ports::GuardRules;

constexpr std::uint16_t kMembersPort = 2000;
constexpr std::uint16_t kStrangersPort = 2001;

// The member and both ports are in all of them, in other places.
GuardRules rules_of(int round) {
  std::vector<ports::Port> ports;
  for (const auto port : {kMembersPort, kStrangersPort}) ports.insert(ports.end(), {tcp(port), udp(port)});
  auto rules = guarding(std::move(ports));
  if (round % 2 == 0) return rules;
  rules.services.front().users.insert(rules.services.front().users.begin(), {2001, 2002});
  rules.services.insert(rules.services.begin(),
                        {.name = "SHOP", .users = {kStranger}, .unix_groups = {1800}, .ports = {tcp(3000), udp(3001)}});
  for (std::uint16_t port = 4000; port < 5000; ++port) rules.services.front().ports.push_back(tcp(port));
  return rules;
}

// Both all the time, from when it is made until it goes.
class Watch {
 public:
  explicit Watch(const GuardRig& rig)
      : member_(rig, kMemberIdentity, kMembersPort, 0), stranger_(rig, kStrangerIdentity, kStrangersPort, EACCES) {}
  void check() const {
    for (const auto* binder : {&member_, &stranger_}) {
      binder->goes_on();
      CAPTURE(binder->wrong_errno());
      CHECK(binder->wrong_ones() == 0);
    }
  }

 private:
  RestlessBinder member_;
  RestlessBinder stranger_;
};

void check_whole(const GuardRig& rig, const GuardPlace& place) {
  const std::vector<std::string> whole{"v1",
                                       "v1/test",
                                       "v1/test/admitted",
                                       "v1/test/bind4",
                                       "v1/test/bind6",
                                       "v1/test/counters",
                                       "v1/test/events",
                                       "v1/test/post_bind4",
                                       "v1/test/post_bind6",
                                       "v1/test/rules",
                                       "v1/test/settings"};
  CHECK(rig.pins() == whole);
  for (const auto& cgroup : {rig.cgroup(), rig.outer_cgroup()}) {
    const int wanted = cgroup == place.cgroup ? 4 : 0;
    CHECK(eventually([&] { return GuardRig::attached_programs(cgroup) == wanted; }));
  }
}

void check_gone(const GuardRig& rig) {
  CHECK(rig.pins().empty());
  for (const auto& cgroup : {rig.cgroup(), rig.outer_cgroup()}) {
    CHECK(eventually([&] { return GuardRig::attached_programs(cgroup) == 0; }));
  }
}

// The calls by which a guard changes.
constexpr auto kChangingCalls = std::to_array<std::uint64_t>({
    SYS_bpf,
    SYS_mkdirat,
    SYS_renameat2,
    SYS_unlinkat,
#ifdef SYS_mkdir
    SYS_mkdir,
    SYS_rename,
    SYS_renameat,
    SYS_unlink,
    SYS_rmdir,
#endif
});

bool begins_change(pid_t child) {
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0) return false;
  return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
         std::ranges::find(kChangingCalls, info.entry.nr) != kChangingCalls.end();
}

void put_in_child(const GuardRig& rig, const GuardPlace& place, int count) {
  rig.network().enter();
  if (!Guard::put(place, rules_of(count))) ::_exit(1);
}

// `run` is killed before every `stride`-th of its changes, from a random one on; `repair` follows each time. The last
// time it ends by itself.
void kill_at_changes(int stride, const std::function<void(int)>& run, const std::function<void(int)>& repair) {
  int count = 0;
  bool is_killed = true;
  for (int change = 1 + static_cast<int>(seed() % static_cast<unsigned>(stride)); is_killed; change += stride) {
    CAPTURE(change);
    is_killed = run_and_kill(change, [&] { run(count); }, [] {}, begins_change);
    repair(++count);
  }
  CHECK(count > 5);
}

}  // namespace

TEST_CASE("ports.guard changes its rules without a gap") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto guard = rig.put(rig.place(), rules_of(0));
  REQUIRE_MESSAGE(guard, guard.error());
  const Watch watch(rig);
  for (int round = 0; round < 100; ++round) REQUIRE(guard->set_rules(rules_of(round)));
  watch.check();
}

TEST_CASE("ports.guard changes its programs, cgroup and place without a gap") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), rules_of(0)));
  const Watch watch(rig);
  auto outer = rig.place();
  outer.cgroup = rig.outer_cgroup();
  for (int round = 0; round < 20; ++round) {
    const auto& place = round % 4 < 2 ? rig.place() : outer;  // by turns updated and replaced
    REQUIRE(rig.put(place, rules_of(round)));
  }
  watch.check();
  check_whole(rig, outer);
}

TEST_CASE("ports.guard is whole after whatever kill of the first who puts it") {
  if (skip_without_guard() || skip_without_ptrace()) return;
  const GuardRig rig;
  kill_at_changes(
      1, [&](int count) { put_in_child(rig, rig.place(), count); },
      [&](int count) {
        if (count % 2 == 0) {
          REQUIRE(rig.put(rig.place(), rules_of(count)));
          check_whole(rig, rig.place());
          CHECK(rig.bind(kStrangerIdentity, kStrangersPort) == EACCES);
        }
        REQUIRE(Guard::remove(rig.place()));
        check_gone(rig);
      });
}

TEST_CASE("ports.guard has no gap after whatever kill of who updates it") {
  if (skip_without_guard() || skip_without_ptrace()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), rules_of(0)));
  const Watch watch(rig);
  kill_at_changes(
      2, [&](int count) { put_in_child(rig, rig.place(), count); },
      [&](int count) {
        check_whole(rig, rig.place());
        if (count % 2 == 0) REQUIRE(rig.put(rig.place(), rules_of(count)));
      });
  watch.check();
}

TEST_CASE("ports.guard has no gap after whatever kill of who replaces it") {
  if (skip_without_guard() || skip_without_ptrace()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), rules_of(0)));
  auto outer = rig.place();
  outer.cgroup = rig.outer_cgroup();
  const Watch watch(rig);
  kill_at_changes(
      4, [&](int count) { put_in_child(rig, outer, count); },
      [&](int count) {
        CHECK(Guard::instances(outer.bpf_directory) == std::vector<std::string>{"test"});
        const auto& place = count % 2 == 0 ? outer : rig.place();
        REQUIRE(rig.put(place, rules_of(count)));
        check_whole(rig, place);
        REQUIRE(rig.put(rig.place(), rules_of(count)));
      });
  watch.check();
}

TEST_CASE("ports.guard is gone after whatever kill of who removes it") {
  if (skip_without_guard() || skip_without_ptrace()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), rules_of(0)));
  kill_at_changes(
      1,
      [&](int) {
        rig.network().enter();
        if (!Guard::remove(rig.place())) ::_exit(1);
      },
      [&](int count) {
        if (count % 2 == 0) {
          REQUIRE(Guard::remove(rig.place()));
          check_gone(rig);
        }
        REQUIRE(rig.put(rig.place(), rules_of(count)));
        check_whole(rig, rig.place());
      });
}

}  // namespace tlsmux::test
