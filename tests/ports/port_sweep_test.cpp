#include <doctest/doctest.h>

#include <cerrno>

#include "tests/ports/book_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using shm::PortState;

TEST_CASE("ports.sweep: a living owner that has not bound its port keeps it") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  for (int i = 0; i < 10; ++i) rig.sweep();
  CHECK(rig.state(1000) == PortState::claimed);
}

TEST_CASE("ports.sweep: what was bound and is closed without a word is free after three sweeps and the delay") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  rig.sweep();
  rig.sweep({BookRig::socket(1000, 9)});
  rig.sweep();
  rig.sweep();
  CHECK(rig.state(1000) == PortState::bound);
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
  CHECK(rig.book.expire(rig.now_ns) == rig.now_ns + kRigDelayNs);
  rig.pass(kRigDelayNs - 1);
  CHECK(rig.state(1000) == PortState::quarantine);
  rig.pass(1);
  CHECK(rig.state(1000) == PortState::free);
  CHECK(rig.book.expire(rig.now_ns) == 0);
}

TEST_CASE("ports.sweep: claimed again it has three sweeps anew, and all the time there is to bind it") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  rig.sweep();
  rig.sweep();
  CHECK(rig.number(1, 1000) == 1000);
  for (int i = 0; i < 5; ++i) rig.sweep();
  CHECK(rig.state(1000) == PortState::claimed);
}

TEST_CASE("ports.sweep: a bind of before the claim, told late, says nothing about the claim") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  const auto bound_ns = rig.now_ns;
  rig.pass(10);
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  CHECK(rig.number(1, 1000) == 1000);
  rig.book.bind_seen(tcp(1000), process(1), bound_ns, rig.now_ns);
  for (int i = 0; i < 5; ++i) rig.sweep();
  CHECK(rig.state(1000) == PortState::claimed);
  rig.book.bind_seen(tcp(1000), process(1), rig.now_ns, rig.now_ns);
  CHECK(rig.state(1000) == PortState::bound);
}

TEST_CASE("ports.sweep: a release counts once the kernel knows no socket") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  CHECK_FALSE(rig.book.release(tcp(1000), process(2), false, rig.now_ns));
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::bound);
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
}

TEST_CASE("ports.sweep: one that was begun before a claim, a bind, a release or a death says nothing about it") {
  BookRig rig;
  rig.book.begin_sweep();
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  CHECK(rig.number(2, 1001) == 1001);
  rig.book.owner_died(process(2), rig.now_ns);
  rig.book.bind_seen(tcp(1002), process(3), rig.now_ns, rig.now_ns);
  rig.book.finish_sweep({}, rig.now_ns);
  CHECK(rig.state(1000) == PortState::claimed);
  CHECK(rig.state(1001) == PortState::claimed);
  CHECK(rig.state(1002) == PortState::bound);
  CHECK(rig.book.wants_sweep());
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
  CHECK(rig.state(1001) == PortState::quarantine);
}

TEST_CASE("ports.sweep: a dead owner's port is its child's, who is a member") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  rig.book.owner_died(process(1), rig.now_ns);
  CHECK(rig.book.inodes_without_owner().empty());
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::orphan);
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
  auto held = BookRig::socket(1000, 9);
  held.owner = process(2);
  held.is_member = true;
  rig.sweep({held});
  CHECK(rig.state(1000) == PortState::bound);
  CHECK(rig.owner_of(1000) == 2);
  CHECK((rig.book.find(tcp(1000))->flags & shm::kPortObserved) == 0);
  CHECK(rig.book.held_by(ports::Protocol::tcp, process(2)) == 1);
  CHECK(rig.book.inodes_without_owner().empty());
}

TEST_CASE("ports.sweep: TIME_WAIT alone is quarantine") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.book.owner_died(process(1), rig.now_ns);
  rig.sweep({{.port = tcp(1000), .is_time_wait = true}, {.port = tcp(1001), .is_time_wait = true}});
  CHECK(rig.state(1000) == PortState::quarantine);
  CHECK(rig.state(1001) == PortState::free);
}

TEST_CASE("ports.sweep: a socket that nobody claimed makes its port external, or its member's") {
  BookRig rig;
  auto member = BookRig::socket(1001, 8);
  member.owner = process(2);
  member.is_member = true;
  auto stranger = BookRig::socket(1002, 7, 77);
  stranger.owner = process(3);
  rig.sweep({BookRig::socket(1000, 9), member, stranger, BookRig::socket(2000, 6)});
  CHECK(rig.state(1000) == PortState::external);
  CHECK(rig.state(1001) == PortState::bound);
  CHECK((rig.book.find(tcp(1001))->flags & shm::kPortObserved) != 0);
  CHECK(rig.state(1002) == PortState::external);
  CHECK(rig.owner_of(1002) == 3);
  CHECK(rig.state(2000) == PortState::free);
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
  CHECK(rig.number(4, 1000).error().error == EADDRINUSE);
  CHECK(rig.dynamic(4) == 1003);
  rig.sweep();
  rig.sweep();
  CHECK(rig.state(1000) == PortState::external);
  rig.sweep();
  CHECK(rig.state(1000) == PortState::free);
}

TEST_CASE("ports.sweep: in use is external until three sweeps see nothing") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.book.release(tcp(1000), process(1), true, rig.now_ns));
  CHECK(rig.state(1000) == PortState::external);
  CHECK(rig.dynamic(1) == 1001);
  rig.sweep({BookRig::socket(1000, 9, 77)});
  CHECK(rig.book.find(tcp(1000))->socket_inode == 9);
  for (int i = 0; i < 3; ++i) rig.sweep();
  CHECK(rig.state(1000) == PortState::free);
}

TEST_CASE("ports.sweep: what is in the way may be the owner's own socket") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.book.release(tcp(1000), process(1), true, rig.now_ns));
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.owner_of(1000) == 1);
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
  auto held = BookRig::socket(1000, 9);
  held.owner = process(1);
  rig.sweep({held});
  CHECK(rig.state(1000) == PortState::bound);
  CHECK(rig.owner_of(1000) == 1);
}

TEST_CASE("ports.sweep: another's socket where the owner's was is looked into, and is the other's") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  rig.sweep({BookRig::socket(1000, 10)});
  CHECK(rig.owner_of(1000) == 1);
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{10});
  auto other = BookRig::socket(1000, 10);
  other.owner = process(2);
  other.is_member = true;
  rig.sweep({other});
  CHECK(rig.owner_of(1000) == 2);
  CHECK(rig.book.held_by(ports::Protocol::tcp, process(1)) == 0);
}

TEST_CASE("ports.sweep: the engine's own stay while nothing is connected") {
  BookRig rig;
  auto order = ports::ClaimOrder{
      .kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = {}, .owner = process(1)};
  order.flags = shm::kPortEngine;
  CHECK(rig.book.claim(order, rig.now_ns) == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::bound);
  for (int i = 0; i < 5; ++i) rig.sweep();
  CHECK(rig.state(1000) == PortState::claimed);
  CHECK((rig.book.find(tcp(1000))->flags & shm::kPortEngine) != 0);
}

TEST_CASE("ports.succession: a held port that is not the group's any more stays its owner's, and then leaves") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.number(2, 1007) == 1007);
  rig.sweep({BookRig::socket(1000, 9), BookRig::socket(1007, 10)});
  auto plan = rig_plan();
  plan.dynamic[0] = {};
  plan.dynamic[0].add(ports::PortRange{1004, 1009});
  rig.book.replan(plan, rig.now_ns);
  CHECK(rig.book.find(tcp(1000))->flags == shm::kPortGrandfathered);
  CHECK(rig.book.find(tcp(1007))->flags == 0);
  CHECK(rig.book.free_count(ports::Protocol::tcp) == 5);
  CHECK(rig.number(1, 1000).error().error == EACCES);
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  rig.sweep({BookRig::socket(1007, 10)});
  CHECK(rig.state(1000) == PortState::free);
  CHECK(rig.book.free_count(ports::Protocol::tcp) == 5);
}

TEST_CASE("ports.succession: a dead engine's lease is held back, and free only if no socket is there then") {
  BookRig before;
  for (std::uint32_t owner = 1; owner <= 2; ++owner) {
    CHECK(before.book.lease(ports::Protocol::tcp, process(owner), before.now_ns));
  }
  const std::vector entries{*before.book.find(tcp(1000)), *before.book.find(tcp(1001))};
  BookRig rig;
  rig.book.adopt(entries, 500, rig.now_ns);
  CHECK(rig.state(1000) == PortState::leased);
  rig.sweep();
  CHECK(rig.state(1001) == PortState::leased);
  rig.pass(500);
  CHECK(rig.state(1001) == PortState::leased);
  CHECK(rig.book.wants_sweep());
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::bound);
  CHECK(rig.state(1001) == PortState::free);
}

TEST_CASE("ports.succession: a dead engine's lease that is released was taken, and waits for the reuse delay") {
  BookRig before;
  CHECK(before.book.lease(ports::Protocol::tcp, process(1), before.now_ns) == 1000);
  BookRig rig;
  rig.book.adopt(std::vector{*before.book.find(tcp(1000))}, 500, rig.now_ns);
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::bound);
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
}

TEST_CASE("ports.succession: another socket of the owner's user does not end a dead engine's lease before its time") {
  BookRig before;
  for (std::uint32_t owner = 1; owner <= 2; ++owner) {
    CHECK(before.book.lease(ports::Protocol::tcp, process(owner), before.now_ns));
  }
  const std::vector entries{*before.book.find(tcp(1000)), *before.book.find(tcp(1001))};
  BookRig rig;
  rig.book.adopt(entries, 500, rig.now_ns);
  rig.sweep({BookRig::socket(1000, 9), BookRig::socket(1001, 10)});
  for (int i = 0; i < 5; ++i) rig.sweep({BookRig::socket(1001, 10)});
  CHECK(rig.state(1000) == PortState::leased);
  CHECK(rig.owner_of(1000) == 1);
  rig.pass(500);
  rig.sweep({BookRig::socket(1001, 10)});
  CHECK(rig.state(1000) == PortState::free);
  CHECK(rig.state(1001) == PortState::bound);
  CHECK(rig.owner_of(1001) == 2);
}

TEST_CASE("ports.succession: what a dead engine knew is believed as far as the kernel says so") {
  ports::PortEntry bound{.port = tcp(1000),
                         .state = PortState::bound,
                         .flags = 0,
                         .owner = process(1),
                         .label = "BACK",
                         .socket_inode = 9};
  ports::PortEntry dead{.port = tcp(1001), .state = PortState::claimed, .flags = 0, .owner = process(2), .label = {}};
  ports::PortEntry waiting{.port = tcp(1002), .state = PortState::quarantine, .flags = 0, .owner = {}, .label = {}};
  ports::PortEntry senseless{.port = tcp(0), .state = PortState::bound, .flags = 0, .owner = process(3), .label = {}};
  BookRig rig;
  waiting.until_ns = rig.now_ns + 1'000'000;
  rig.book.adopt(std::vector{bound, dead, waiting, senseless, bound}, 500, rig.now_ns);
  rig.book.owner_died(process(2), rig.now_ns);
  CHECK(rig.book.expire(rig.now_ns) == rig.now_ns + kRigDelayNs);
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.state(1000) == PortState::bound);
  CHECK(rig.state(1001) == PortState::quarantine);
  CHECK(rig.state(0) == PortState::free);
  CHECK(rig.dynamic(1, "BACK") == 1000);
}

TEST_CASE("ports.succession: what was given back and not looked at yet is so for the next engine, too") {
  BookRig before;
  CHECK(before.dynamic(1) == 1000);
  CHECK(before.dynamic(1) == 1001);
  CHECK(before.book.take_changes().size() == 2);
  for (const auto port : {tcp(1000), tcp(1001)}) {
    CHECK(before.book.release(port, process(1), false, before.now_ns));
  }
  CHECK(before.book.take_changes().size() == 2);
  CHECK((before.book.find(tcp(1000))->flags & shm::kPortReleased) != 0);
  CHECK(before.number(1, 1001) == 1001);  // again
  CHECK(before.book.take_changes() == std::vector{tcp(1001)});
  CHECK((before.book.find(tcp(1001))->flags & shm::kPortReleased) == 0);
  const std::vector entries{*before.book.find(tcp(1000)), *before.book.find(tcp(1001))};
  BookRig rig;
  rig.book.adopt(entries, 500, rig.now_ns);
  CHECK(rig.book.wants_sweep());
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
  CHECK(rig.state(1001) == PortState::claimed);
}

TEST_CASE("ports.succession: labels of free ports go over, and where one is in use it is where that is") {
  const auto unused = [](std::uint16_t port, const char* label) {
    return ports::PortEntry{.port = tcp(port), .owner = {}, .label = label};
  };
  const ports::PortEntry used{
      .port = tcp(1000), .state = PortState::bound, .flags = 0, .owner = process(1), .label = "A", .socket_inode = 9};
  BookRig rig;
  rig.book.adopt(std::vector{used, unused(1001, "A"), unused(1002, "B"), unused(1003, "B"), unused(1004, ""),
                             unused(443, "C"), unused(2000, "D"), unused(0, "E")},
                 500, rig.now_ns);
  CHECK(rig.book.remembered_label(tcp(1001)).empty());
  CHECK(rig.book.remembered_label(tcp(1002)).empty());
  CHECK(rig.book.remembered_label(tcp(1003)) == "B");
  CHECK(rig.book.free_count(ports::Protocol::tcp) == 7);
  CHECK(rig.dynamic(1, "A") == 1000);
  for (const auto port : {1001, 1002, 1004, 1005, 1006, 1007}) CHECK(rig.dynamic(2) == port);
  CHECK(rig.dynamic(2, "B") == 1003);
  for (const auto port : {443, 2000, 0}) {
    CHECK(rig.book.remembered_label(tcp(static_cast<std::uint16_t>(port))).empty());
  }
}

TEST_CASE("ports.changes: a free port is told of when another label remembers it, or none") {
  BookRig rig;
  CHECK(rig.dynamic(1, "A") == 1000);
  CHECK(rig.book.take_changes() == std::vector{tcp(1000)});
  CHECK(rig.book.remembered_label(tcp(1000)).empty());  // it is in the entry
  rig.book.owner_died(process(1), rig.now_ns);
  rig.sweep();
  rig.pass(kRigDelayNs);
  CHECK(rig.book.take_changes() == std::vector{tcp(1000)});
  CHECK(rig.book.remembered_label(tcp(1000)) == "A");
  // It is the label's port no more.
  CHECK(rig.number(2, 1000) == 1000);
  CHECK(rig.dynamic(3, "A") == 1001);
  CHECK(rig.book.take_changes().size() == 2);
  rig.book.owner_died(process(3), rig.now_ns);
  rig.sweep();
  rig.pass(kRigDelayNs);
  CHECK(rig.book.take_changes() == std::vector{tcp(1001)});
  auto plan = rig_plan();
  plan.dynamic[0].remove(1001);
  rig.book.replan(plan, rig.now_ns);
  CHECK(rig.book.take_changes() == std::vector{tcp(1001)});
  CHECK(rig.book.remembered_label(tcp(1001)).empty());
}

TEST_CASE("ports.changes: each port whose entry differs is told once") {
  BookRig rig;
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.number(1, 1001) == 1001);
  CHECK(rig.book.take_changes().size() == 2);
  CHECK(rig.book.take_changes().empty());
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.book.lease(ports::Protocol::tcp, process(1), rig.now_ns) == 1002);
  rig.book.lease_returned(tcp(1002), rig.now_ns);
  CHECK(rig.book.take_changes().empty());
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.book.take_changes() == std::vector{tcp(1000)});
}
