#include "ports/enforcement/kernel_reservation.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <tuple>

#include <doctest/doctest.h>

#include "config/check/check_machine_ports.hpp"
#include "ports/enforcement/reservation_journal.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/killed_at_call.hpp"
#include "tests/support/network_namespace.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

constexpr const char* kSysctl = "net/ipv4/ip_local_reserved_ports";
constexpr Identity kUser{.uid = 1700, .gid = 1700};

PortSet ports_of(const char* text) { return PortSet::parse(text).value(); }

PortSet united(PortSet one, const PortSet& other) { return one |= other; }
PortSet without(PortSet one, const PortSet& other) { return one -= other; }

// In a network namespace of the test's own, with what somebody else had reserved.
struct Scene {
  explicit Scene(const char* of_others = "") { network.set_sysctl(kSysctl, of_others); }

  [[nodiscard]] std::string journal(const char* name = "journal") const { return folder.path(name); }
  [[nodiscard]] std::string list() const { return network.sysctl(kSysctl); }
  void set(const PortSet& ports, const char* name = "journal") const {
    network.in_thread([&] {
      const auto done = KernelReservation(journal(name)).set(ports);
      REQUIRE_MESSAGE(done.has_value(), done.error().message);
    });
  }
  void set(const char* text, const char* name = "journal") const { set(ports_of(text), name); }
  [[nodiscard]] std::string added(const char* name = "journal") const {
    std::string text;
    network.in_thread([&] { text = KernelReservation(journal(name)).added().value().text(); });
    return text;
  }

  NetworkNamespace network;
  TemporaryFolder folder{"/dev/shm"};  // where fsync costs nothing
};

PortSet random_ports(std::mt19937_64& random, int ranges, int from, int to) {
  PortSet ports;
  for (int range = 0; range < ranges; ++range) {
    const auto first = std::uniform_int_distribution<int>(from, to)(random);
    const auto last = std::min(to, first + std::uniform_int_distribution<int>(0, 20)(random));
    ports.add({.from = static_cast<std::uint16_t>(first), .to = static_cast<std::uint16_t>(last)});
  }
  return ports;
}

}  // namespace

TEST_CASE("ports.a reservation is merged with others' and takes out only its own") {
  if (skip_without_network_namespaces()) return;
  const Scene scene("80,1500-1600,9000");
  scene.set("1000-2000,3000");
  CHECK(scene.list() == "80,1000-2000,3000,9000");
  CHECK(scene.added() == "1000-1499,1601-2000,3000");
  scene.set("1000-2000,3000");
  CHECK(scene.added() == "1000-1499,1601-2000,3000");

  scene.set("1550-1700,4000");
  CHECK(scene.list() == "80,1500-1700,4000,9000");
  CHECK(scene.added() == "1601-1700,4000");

  scene.set("");
  CHECK(scene.list() == "80,1500-1600,9000");
  CHECK(scene.added().empty());
  CHECK(::access(scene.journal().c_str(), F_OK) != 0);
  scene.set("");
  CHECK(scene.list() == "80,1500-1600,9000");
}

TEST_CASE("ports.a reservation that is all there is leaves an empty list behind") {
  if (skip_without_network_namespaces()) return;
  const Scene scene;
  scene.set("1000-2000");
  CHECK(scene.list() == "1000-2000");
  scene.set("");
  CHECK(scene.list().empty());
}

TEST_CASE("ports.what others reserve or replace afterwards is kept and what is missing is added again") {
  if (skip_without_network_namespaces()) return;
  const Scene scene("80");
  scene.set("1000-2000");
  scene.network.set_sysctl(kSysctl, "80,1000-2000,5000");
  scene.set("1000-1999");
  CHECK(scene.list() == "80,1000-1999,5000");
  scene.network.set_sysctl(kSysctl, "81");
  scene.set("1000-1999");
  CHECK(scene.list() == "81,1000-1999");
  scene.set("");
  CHECK(scene.list() == "81");
}

TEST_CASE("ports.a list of many pages is read and written whole") {
  if (skip_without_network_namespaces()) return;
  const Scene scene;
  PortSet odd;
  for (int port = 10'001; port < 30'000; port += 2) odd.add(static_cast<std::uint16_t>(port));
  PortSet others;
  for (int port = 40'001; port < 50'000; port += 2) others.add(static_cast<std::uint16_t>(port));
  scene.set(others, "others");
  scene.set(odd);
  CHECK(PortSet::parse(scene.list()) == united(odd, others));
  odd.remove(10'001);
  scene.set(odd);
  CHECK(PortSet::parse(scene.list()) == united(odd, others));
  CHECK(scene.added() == odd.text());
  scene.set("");
  CHECK(PortSet::parse(scene.list()) == others);
}

TEST_CASE("ports.the reservation's journal counts in its own boot and network namespace only") {
  if (skip_without_network_namespaces()) return;
  const Scene scene;
  scene.set("1000-2000");
  const NetworkNamespace other;
  other.set_sysctl(kSysctl, "1000-2000");
  other.in_thread([&] {
    const KernelReservation reservation(scene.journal());
    CHECK(reservation.added()->empty());
    CHECK(reservation.set(PortSet{}).has_value());
  });
  CHECK(other.sysctl(kSysctl) == "1000-2000");

  const Scene rebooted("1000-1001");
  rebooted.set("1000-2000");
  std::ifstream file(rebooted.journal());
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto at = text.find("boot ") + 5;
  text[at] = text[at] == '0' ? '1' : '0';
  std::ofstream(rebooted.journal()) << text;
  CHECK(rebooted.added().empty());
  rebooted.set("");
  CHECK(rebooted.list() == "1000-2000");
}

TEST_CASE("ports.a broken reservation journal is refused and nothing is changed") {
  if (skip_without_network_namespaces()) return;
  const Scene scene("1000-2000");
  const auto try_set = [&](const std::string& journal) {
    shm::SystemError error;
    scene.network.in_thread([&] { error = KernelReservation(journal).set(ports_of("3000")).error(); });
    return error;
  };
  std::ofstream(scene.journal()) << "something else\n";
  auto error = try_set(scene.journal());
  CHECK(error.code == EBADMSG);
  CHECK_MESSAGE(error.message.find(scene.journal()) != std::string::npos, error.message);

  scene.set("1999-2001", "cut");
  std::ifstream file(scene.journal("cut"));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::ofstream(scene.journal("cut")) << text.substr(0, text.find("ports "));
  CHECK(try_set(scene.journal("cut")).code == EBADMSG);
  std::ofstream(scene.journal("cut")) << text.substr(0, text.find("ports ")) << "ports 7-x\n";
  CHECK(try_set(scene.journal("cut")).code == EBADMSG);
  CHECK(scene.list() == "1000-2001");

  error = try_set(scene.folder.path() + "/missing/journal");
  CHECK(error.code == ENOENT);
  CHECK(scene.list() == "1000-2001");
}

TEST_CASE("ports.a reservation needs privilege and says so") {
  if (skip_without_network_namespaces()) return;
  const Scene scene("80");
  CHECK(scene.network.in_process([] { return KernelReservation::probe().has_value() ? 0 : 1; }) == 0);
  CHECK(scene.network.in_process(
            [&] {
              const auto probe = KernelReservation::probe();
              if (probe || probe.error().find("CAP_NET_ADMIN") == std::string::npos) return 1;
              const auto set = KernelReservation(scene.journal()).set(ports_of("1000"));
              if (set || set.error().code != EACCES) return 2;
              const auto reserved = KernelReservation::reserved();
              return reserved && reserved->text() == "80" ? 0 : 3;
            },
            kUser) == 0);
  CHECK(scene.list() == "80");
}

TEST_CASE("ports.a configuration is compared with what the kernel gives out in the caller's network namespace") {
  if (skip_without_network_namespaces()) return;
  const Scene scene("40100-40199");
  scene.network.set_sysctl("net/ipv4/ip_local_port_range", "40000 40999");
  scene.set("40500");
  scene.network.in_thread([] {
    const auto kernel = config::read_kernel_ports();
    REQUIRE(kernel);
    CHECK(kernel->from == 40'000);
    CHECK(kernel->to == 40'999);
    CHECK(kernel->reserved.count() == 101);
    CHECK(kernel->reserved.test(40'500));
  });
}

TEST_CASE("ports.a user who locks the list of reserved ports holds nobody up") {
  if (skip_without_network_namespaces()) return;
  const Scene scene;
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const ChildProcess hinderer([&]() -> int {
    scene.network.enter(kUser);
    const int list = ::open("/proc/sys/net/ipv4/ip_local_reserved_ports", O_RDONLY | O_CLOEXEC);
    const char result = ::flock(list, LOCK_EX) == 0 ? 'y' : 'n';
    if (::write(ends[1], &result, 1) != 1) return 1;
    while (true) ::pause();
  });
  char locked = 0;
  REQUIRE(::read(ends[0], &locked, 1) == 1);
  CHECK(locked == 'y');
  scene.set("1000-2000");
  CHECK(scene.list() == "1000-2000");
  for (const int end : ends) ::close(end);
}

TEST_CASE("ports.two processes that reserve at once lose nothing of each other's and others'") {
  if (skip_without_network_namespaces()) return;
  constexpr int kRounds = 60;
  const Scene scene("1-9,30000,60001");
  const auto work = [&](const char* name, int from, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const KernelReservation reservation(scene.journal(name));
    for (int round = 0; round < kRounds; ++round) {
      const auto wanted = random_ports(random, 10, from, from + 9999);
      if (!reservation.set(wanted)) return 1;
      const auto list = KernelReservation::reserved();
      if (!list || !without(wanted, *list).empty()) return 2;
      if (!without(ports_of("1-9,30000,60001"), *list).empty()) return 3;
    }
    return reservation.set(random_ports(random, 10, from, from + 9999)) ? 0 : 4;
  };
  ChildProcess first([&] {
    scene.network.enter();
    return work("first", 10'000, seed());
  });
  ChildProcess second([&] {
    scene.network.enter();
    return work("second", 40'000, seed() + 1);
  });
  CHECK(first.wait() == 0);
  CHECK(second.wait() == 0);
  const auto all = united(united(ports_of(scene.added("first").c_str()), ports_of(scene.added("second").c_str())),
                          ports_of("1-9,30000,60001"));
  CHECK_MESSAGE(scene.list() == all.text(), "TLSMUX_SEED=", seed());
  scene.set("", "first");
  scene.set("", "second");
  CHECK(scene.list() == "1-9,30000,60001");
}

TEST_CASE("ports.a reservation killed at any system call is known and repaired by the next") {
  if (skip_without_network_namespaces()) return;
  const auto others = ports_of("80,1200-1300,5000");
  const auto from = ports_of("1000-2000");
  struct Case {
    PortSet to;          // what the one that is killed was to reserve
    PortSet afterwards;  // what the next one is
  };
  const Case cases[] = {{ports_of("1250-2500,7000"), ports_of("1250-2500,7000")},
                        {ports_of("1250-2500,7000"), PortSet{}},
                        {PortSet{}, from},
                        {PortSet{}, PortSet{}}};
  const Scene scene("80,1200-1300,5000");
  scene.network.in_thread([&] {
    if (skip_without_ptrace()) return;
    const KernelReservation reservation(scene.journal());
    const auto list = [] { return KernelReservation::reserved().value(); };
    for (const auto& [to, afterwards] : cases) {
      auto kept = from;
      kept &= to;
      for (int stop = 0;; ++stop) {
        REQUIRE(reservation.set(from).has_value());
        const bool was_killed = run_and_kill(
            stop, [&] { std::ignore = reservation.set(to); },
            [&] {
              CHECK(without(united(others, kept), list()).empty());
              CHECK(without(list(), united(others, reservation.added().value())).empty());
            });
        REQUIRE(reservation.set(afterwards).has_value());
        CHECK(list() == united(others, afterwards));
        CHECK(reservation.added().value() == without(afterwards, others));
        if (!was_killed) {
          CHECK(stop > 20);
          break;
        }
      }
    }
    CHECK(reservation.set(PortSet{}).has_value());
    CHECK(list() == others);
  });
}
