#include "ports/enforcement/enforcement.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "tests/ports/enforcement_scene.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

TEST_CASE("ports.an instance's name is a file's, and each control socket has its own") {
  const auto one = instance_name("/run/tlsmux/control.sock");
  CHECK(one.starts_with("run-tlsmux-control-sock-"));
  CHECK(one == instance_name("/run/tlsmux/../tlsmux//control.sock"));
  CHECK(one != instance_name("/run/tlsmux/control-sock"));
  const auto other = instance_name("/" + std::string(90, 'x') + "/\x01\xff.sock");
  CHECK(other.size() <= 48);
  for (const char character : other) CHECK((std::isalnum(character) != 0 || character == '-' || character == '_'));
}

TEST_CASE("ports.an order has the engine as a member where it uses a group's ports itself") {
  config::Config config;
  config.groups = {group_of("A", 11000, 11001), group_of("B", 12000, 12000), group_of("C", 13000, 13000, false)};
  config.groups[0].ports.static_ports = {
      {.port = 443, .protocol = config::PortProtocols::udp, .label = {}, .program = {}}};
  config.upstreams.resize(1);
  config.upstreams[0].tcp.source_ports = "B";
  const auto order = make_order(config, 4711);
  REQUIRE(order);
  CHECK(order->reserved.text() == "443,11000-11001,12000,13000");
  CHECK(order->guarded_ports().text() == "443,11000-11001,12000");
  REQUIRE(order->guarded.services.size() == 2);
  const auto& a = order->guarded.services[0];
  CHECK(a.name == "A");
  CHECK(a.users == std::vector<uid_t>{kMember});
  CHECK(a.unix_groups == std::vector<gid_t>{kMemberGroup});
  CHECK(a.ports == std::vector{tcp(11000), tcp(11001), udp(443), udp(11000), udp(11001)});
  CHECK(order->guarded.services[1].users == std::vector<uid_t>{kMember, 4711});

  config.groups[1].users = {"no-such-user-of-this-test"};
  const auto errors = make_order(config, 4711);
  REQUIRE(!errors);
  CHECK(errors.error().front().pointer == "/groups/1/users/0");
}

TEST_CASE("ports.reservation and guard come together, outlive who put them there, and go together") {
  if (skip_without_guard()) return;
  const Scene scene("80");
  const auto order = order_of({group_of("A", 11000, 11009)});
  {
    const auto state = scene.apply(order);
    CHECK_MESSAGE(state.reservation.state == kOn, state.reservation.text);
    CHECK_MESSAGE(state.guard.state == kOn, state.guard.text);
  }
  CHECK(scene.list() == "80,11000-11009");
  CHECK(scene.is_guarded(11000));
  CHECK(scene.rig.bind(kMemberIdentity, 11000) == 0);
  CHECK(scene.rig.bind(kGroupIdentity, 11000) == 0);
  scene.rig.network().in_thread([&] { CHECK(Enforcement(scene.place()).leave().has_value()); });
  CHECK(scene.list() == "80,11000-11009");
  CHECK(scene.is_guarded(11009));
  scene.rig.network().in_thread([&] {
    const auto removed = Enforcement(scene.place()).remove();
    REQUIRE(removed);
    CHECK(removed->guard);
    CHECK(removed->reservation.text() == "11000-11009");
    const auto again = Enforcement(scene.place()).remove();
    REQUIRE(again);
    CHECK(!again->guard);
  });
  CHECK(scene.list() == "80");
  CHECK(!scene.is_guarded(11000));
  CHECK(scene.is_clean());
}

TEST_CASE("ports.a reservation without the guard goes when tlsmuxd ends") {
  if (skip_without_guard()) return;
  const Scene scene("80");
  const auto state = scene.apply(order_of({group_of("A", 11000, 11009, false)}));
  CHECK(state.reservation.state == kOn);
  CHECK(state.guard.state == kOff);
  CHECK(scene.list() == "80,11000-11009");
  scene.rig.network().in_thread([&] { CHECK(Enforcement(scene.place()).leave().has_value()); });
  CHECK(scene.list() == "80");
  CHECK(scene.is_clean());
}

TEST_CASE("ports.no guard is pinned where another user could take it away") {
  if (skip_without_guard()) return;
  const Scene scene;
  const auto order = order_of({group_of("A", 11000, 11009)});
  const auto folder = scene.place().guard.bpf_directory + "/tlsmux";
  const auto is_refused = [&] {
    const auto state = scene.apply(order);
    CHECK(state.reservation.state == kOn);
    CHECK_MESSAGE(state.guard.text.find(folder + " belongs to uid ") != std::string::npos, state.guard.text);
    return state.guard.state == kMissing && !scene.is_guarded(11000);
  };
  REQUIRE(::mkdir(folder.c_str(), 0700) == 0);
  REQUIRE(::chown(folder.c_str(), kStranger, kMemberGroup) == 0);
  CHECK(is_refused());
  REQUIRE(::chown(folder.c_str(), 0, 0) == 0);
  REQUIRE(::chmod(folder.c_str(), 0777) == 0);
  CHECK(is_refused());
  REQUIRE(::chmod(folder.c_str(), 0700) == 0);
  CHECK(scene.apply(order).guard.state == kOn);
  scene.remove();
}

TEST_CASE("ports.a configuration that asks for nothing leaves no trace, and takes an earlier one's away") {
  if (skip_without_guard()) return;
  const Scene scene;
  CHECK(scene.apply(order_of({})) == EnforcementState{});
  CHECK(scene.is_clean());
  CHECK(scene.apply(order_of({group_of("A", 11000, 11009)})).guard.state == kOn);
  CHECK(scene.apply(order_of({})) == EnforcementState{});
  CHECK(scene.list().empty());
  CHECK(!scene.is_guarded(11000));
  CHECK(scene.is_clean());
}

TEST_CASE("ports.without a bpffs the reservation holds and words say what the guard lacks") {
  if (skip_without_guard()) return;
  const Scene scene;
  auto place = scene.place();
  place.guard.bpf_directory = scene.folder.path();
  const auto order = order_of({group_of("A", 11000, 11009)});
  scene.rig.network().in_thread([&] {
    const auto possible = Enforcement(place).probe(order);
    CHECK(possible.reservation.state == kOn);
    CHECK(possible.guard.state == kMissing);
    CHECK_MESSAGE(possible.guard.text.find(scene.folder.path()) != std::string::npos, possible.guard.text);
  });
  CHECK(scene.list().empty());
  const auto state = scene.apply(place, order);
  CHECK(state.reservation.state == kOn);
  CHECK(state.guard.state == kMissing);
  CHECK(!state.guard.text.empty());
  CHECK(scene.list() == "11000-11009");
  CHECK(!scene.is_guarded(11000));
  // It has no guard to stay for.
  scene.rig.network().in_thread([&] { CHECK(Enforcement(place).leave().has_value()); });
  CHECK(scene.list().empty());
}

TEST_CASE("ports.a guard is found again in the bpffs where it was put") {
  if (skip_without_guard()) return;
  const Scene scene;
  const Scene other;  // another bpffs
  const auto order = order_of({group_of("A", 11000, 11009)});
  CHECK(scene.apply(order).guard.state == kOn);
  auto moved = scene.place();
  moved.guard.bpf_directory = other.rig.place().bpf_directory;
  CHECK(scene.apply(moved, order).guard.state == kOn);
  CHECK(scene.rig.pins().empty());
  CHECK(scene.is_guarded(11000));
  scene.remove();  // by one who knows of the first only
  CHECK(!scene.is_guarded(11000));
  CHECK(other.rig.pins().empty());
  CHECK(scene.is_clean());

  CHECK(scene.apply(order).guard.state == kOn);
  auto lost = scene.place();
  lost.guard.bpf_directory = "/nowhere";
  CHECK(scene.apply(lost, order).guard.state == kMissing);
  CHECK(scene.is_guarded(11000));
  CHECK(scene.list() == "11000-11009");
  scene.rig.network().in_thread([&] { CHECK(Enforcement(lost).remove().value().guard); });
  CHECK(scene.is_clean());
}

TEST_CASE("ports.the guard is not put where the reservation cannot be had") {
  if (skip_without_guard()) return;
  const Scene scene;
  const auto order = order_of({group_of("A", 11000, 11009)});
  std::ofstream(scene.place().journal()) << "no journal\n";
  const auto state = scene.apply(order);
  CHECK(state.reservation.state == kMissing);
  CHECK_MESSAGE(state.reservation.text.find(scene.place().journal()) != std::string::npos, state.reservation.text);
  CHECK(state.guard.state == kMissing);
  CHECK_MESSAGE(state.guard.text.find("without the reservation") != std::string::npos, state.guard.text);
  CHECK(scene.rig.pins().empty());
  // Somebody else's does as well.
  scene.rig.network().set_sysctl(kSysctl, "10900-11100");
  CHECK(scene.apply(order).guard.state == kOn);
  std::filesystem::remove(scene.place().journal());
  scene.remove();
}
