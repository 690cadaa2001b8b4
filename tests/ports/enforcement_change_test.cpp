// Reservation and guard while something else happens: a refresh, others who take them away, a second process, a SIGKILL.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "ports/enforcement/enforcement.hpp"
#include "tests/ports/enforcement_scene.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/killed_at_call.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/eventually.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

// Of this process, that are this file.
std::ptrdiff_t open_descriptors(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::directory_iterator all("/proc/self/fd", ignored);
  return std::count_if(begin(all), end(all),
                       [&](const auto& each) { return std::filesystem::read_symlink(each, ignored) == path; });
}

}  // namespace

TEST_CASE("ports.a refresh adds and removes ports and members while all that stays is in force") {
  if (skip_without_guard()) return;
  const Scene scene;
  scene.rig.network().in_thread([&] {
    Enforcement enforcement(scene.place());
    CHECK(enforcement.apply(order_of({group_of("A", 11000, 11009)})).guard.state == kOn);
    CHECK(enforcement.guard() != nullptr);
    CHECK(enforcement.apply(order_of({group_of("A", 11005, 11019), group_of("B", 12000, 12000)})).guard.state == kOn);
    CHECK(scene.list() == "11005-11019,12000");
    CHECK(!scene.is_guarded(11000));
    CHECK(scene.is_guarded(11007));
    CHECK(scene.is_guarded(12000));
    // One group gives up its guard, and the last one too.
    CHECK(enforcement.apply(order_of({group_of("A", 11005, 11019, false), group_of("B", 12000, 12000)})).guard.state ==
          kOn);
    CHECK(!scene.is_guarded(11007));
    CHECK(scene.list() == "11005-11019,12000");
    const auto state = enforcement.apply(order_of({group_of("A", 11005, 11019, false)}));
    CHECK(state.reservation.state == kOn);
    CHECK(state.guard.state == kOff);
    CHECK(!scene.is_guarded(12000));
    CHECK(scene.list() == "11005-11019");
    CHECK(scene.rig.pins().empty());
    CHECK(enforcement.remove().has_value());
  });
  CHECK(scene.is_clean());
}

TEST_CASE("ports.what others take away is noticed and put back") {
  if (skip_without_guard()) return;
  const Scene scene;
  const auto order = order_of({group_of("A", 11000, 11009)});
  scene.rig.network().in_thread([&] {
    Enforcement enforcement(scene.place());
    const auto state = enforcement.apply(order);
    CHECK(enforcement.is_in_place(order, state));
    scene.rig.network().set_sysctl(kSysctl, "17000");
    CHECK(!enforcement.is_in_place(order, state));
    CHECK(enforcement.apply(order) == state);
    CHECK(enforcement.is_in_place(order, state));
    CHECK(scene.list() == "11000-11009,17000");

    auto events = GuardEvents::open(enforcement.guard()->event_descriptors());
    REQUIRE_MESSAGE(events.has_value(), events.error());
    CHECK(Guard::remove(scene.place().guard).value());
    CHECK(!enforcement.is_in_place(order, state));
    CHECK(enforcement.apply(order) == state);
    CHECK(scene.is_guarded(11000));
    // Whoever has read the events reads on.
    const auto seen = events->take();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].is_denied);
    CHECK(seen[0].port == tcp(11000));
  });
  scene.remove();
}

TEST_CASE("ports.two instances do not touch each other's") {
  if (skip_without_guard()) return;
  const Scene scene;
  CHECK(scene.apply(order_of({group_of("A", 11000, 11009)}), "one").guard.state == kOn);
  CHECK(scene.apply(order_of({group_of("B", 12000, 12009)}), "two").guard.state == kOn);
  CHECK(scene.list() == "11000-11009,12000-12009");
  CHECK(scene.rig.bind(kMemberIdentity, 11000) == 0);
  CHECK(scene.rig.bind(kMemberIdentity, 12000) == 0);
  CHECK(journalled_instances(scene.folder.path()) == std::vector<std::string>{"one", "two"});
  scene.remove("one");
  CHECK(scene.list() == "12000-12009");
  CHECK(!scene.is_guarded(11000));
  CHECK(scene.is_guarded(12000));
  scene.remove("two");
  CHECK(scene.is_clean());
}

TEST_CASE("ports.a guard that comes while the reservation is about to go keeps it") {
  if (skip_without_guard()) return;
  const Scene scene;
  CHECK(scene.apply(order_of({group_of("A", 11000, 11009, false)})).reservation.state == kOn);
  const auto path = scene.place().lock_file();
  const shm::UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
  std::expected<void, std::string> left;
  std::thread leaving([&] { scene.rig.network().in_thread([&] { left = Enforcement(scene.place()).leave(); }); });
  // It has seen no guard, and waits.
  CHECK(eventually([&] { return open_descriptors(path) == 2; }));
  const auto guard = scene.rig.put(scene.place().guard, order_of({group_of("A", 11000, 11009)}).guarded);
  CHECK(guard.has_value());
  CHECK(::flock(lock.get(), LOCK_UN) == 0);
  leaving.join();
  CHECK(left.has_value());
  CHECK(scene.list() == "11000-11009");
  CHECK(scene.is_guarded(11000));
  scene.remove();
  CHECK(scene.list().empty());
}

TEST_CASE("ports.one process changes reservation and guard at a time") {
  if (skip_without_guard()) return;
  const Scene scene;
  const auto order = order_of({group_of("A", 11000, 11009)});
  const shm::UniqueFd lock(::open(scene.place().lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
  const auto state = scene.apply(order);
  CHECK(state.reservation.state == kMissing);
  CHECK_MESSAGE(state.guard.text.find("another process") != std::string::npos, state.guard.text);
  CHECK(scene.list().empty());
  // Who is done in time keeps nobody from it.
  EnforcementState later;
  std::thread waiting([&] { later = scene.apply(order); });
  CHECK(eventually([&] { return open_descriptors(scene.place().lock_file()) == 2; }));
  CHECK(::flock(lock.get(), LOCK_UN) == 0);
  waiting.join();
  CHECK(later.guard.state == kOn);
  scene.remove();
}

TEST_CASE("ports.whatever is killed when, the guard has its reservation and the next one repairs all") {
  if (skip_without_guard()) return;
  const Scene scene("80,11002");
  const auto before = order_of({group_of("A", 11000, 11009)});
  const auto after = order_of({group_of("A", 11005, 11019), group_of("B", 12000, 12000)});
  // A put takes the kernel's verifier some time: not each of the calls, but any of them.
  std::mt19937_64 random(seed());
  constexpr int kStride = 240;
  int kills = 0;
  scene.rig.network().in_thread([&] {
    if (skip_without_ptrace()) return;
    const auto list = [] { return KernelReservation::reserved().value(); };
    const auto covers = [&](const PortSet& ports) {
      PortSet lacking = ports;
      lacking -= list();
      return lacking.empty();
    };
    for (const auto& [from, to] : {std::pair(EnforcementOrder{}, before), std::pair(before, after),
                                   std::pair(after, before), std::pair(before, EnforcementOrder{})}) {
      int stop = 0;
      while (true) {
        stop += std::uniform_int_distribution<int>(1, kStride)(random);
        INFO("TLSMUX_SEED=", seed(), " stop=", stop);
        REQUIRE(Enforcement(scene.place()).apply(from).guard.state == (from.is_empty() ? kOff : kOn));
        const bool was_killed = run_and_kill(
            stop, [&] { std::ignore = Enforcement(scene.place()).apply(to); },
            [&] {
              ++kills;
              for (const auto port : std::to_array<std::uint16_t>({11000, 11007, 11019, 12000})) {
                if (scene.is_guarded(port)) CHECK(list().contains(port));
              }
              if (!from.is_empty() && !to.is_empty()) CHECK(scene.is_guarded(11007));  // in both
            });
        if (stop % 2 == 0) {
          CHECK(Enforcement(scene.place()).apply(to).guard.state == (to.is_empty() ? kOff : kOn));
          CHECK(covers(to.reserved));
          CHECK(scene.is_guarded(11007) == !to.is_empty());
        }
        REQUIRE(Enforcement(scene.place()).remove().has_value());
        CHECK(list().text() == "80,11002");
        CHECK(scene.rig.pins().empty());
        if (!was_killed) break;
      }
    }
    CHECK(kills > 10);
  });
  CHECK(scene.is_clean());
}
