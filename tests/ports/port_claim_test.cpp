#include <doctest/doctest.h>

#include <cerrno>

#include "tests/ports/book_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using shm::PortState;

namespace {

int error_of(const std::expected<std::uint16_t, ports::ClaimRefusal>& outcome) {
  if (outcome) return 0;
  CHECK(outcome.error().text.size() > 20);
  return outcome.error().error;
}

}  // namespace

TEST_CASE("ports.claim: dynamic ports go round, and a port that was freed comes last") {
  auto plan = rig_plan();
  plan.reuse_delay_ns = 0;
  BookRig rig(plan);
  CHECK(rig.dynamic(1) == 1000);
  CHECK(rig.dynamic(1) == 1001);
  CHECK(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  rig.sweep();
  CHECK(rig.state(1000) == PortState::free);
  for (std::uint16_t port = 1002; port <= 1007; ++port) CHECK(rig.dynamic(1) == port);
  CHECK(rig.dynamic(1) == 1000);
  CHECK(error_of(rig.dynamic(1)) == EADDRINUSE);
  CHECK(rig.book.free_count(ports::Protocol::tcp) == 0);
  CHECK(rig.book.claims() == 9);
  CHECK(rig.book.claims_refused() == 1);
}

TEST_CASE("ports.claim: TCP and UDP are apart") {
  auto plan = rig_plan();
  plan.dynamic[1].add(1000);
  BookRig rig(plan);
  CHECK(rig.number(1, 1000) == 1000);
  CHECK(rig.book.free_count(ports::Protocol::udp) == 1);
  const auto udp = rig.book.claim({.kind = shm::PortClaimKind::dynamic,
                                   .protocol = ports::Protocol::udp,
                                   .number = 0,
                                   .label = {},
                                   .owner = process(2)},
                                  rig.now_ns);
  CHECK(udp == 1000);
}

TEST_CASE("ports.claim: a number is the owner's again, another's never, and EACCES outside of the plan") {
  BookRig rig;
  CHECK(rig.number(1, 1003) == 1003);
  CHECK(rig.number(1, 1003) == 1003);
  CHECK(error_of(rig.number(2, 1003)) == EADDRINUSE);
  CHECK(error_of(rig.number(2, 1008)) == EACCES);
  CHECK(error_of(rig.number(2, 0)) == EACCES);
  CHECK(rig.number(2, 443) == 443);
  CHECK(error_of(rig.number(2, 80)) == EACCES);
}

TEST_CASE("ports.claim: who is refused a port is told who holds it and what to do") {
  BookRig rig;
  const auto words = [&](std::uint16_t port) { return rig.number(2, port).error().text; };
  CHECK(rig.number(1, 1003) == 1003);
  CHECK(words(1003) ==
        "port 1003/tcp is held by process 1 of uid 500; end that, or use another; `tlsmux ports RIG` shows who has "
        "which");
  CHECK(rig.book.lease(ports::Protocol::tcp, process(1), rig.now_ns) == 1000);
  CHECK(words(1000) ==
        "port 1000/tcp is kept ready for process 1 of uid 500; ask for any dynamic port, or use another");
  rig.book.owner_died(process(1), rig.now_ns);
  CHECK(words(1003) ==
        "port 1003/tcp was held by process 1 of uid 500, which has ended, and a socket may still be there; try again");
  rig.sweep();
  CHECK(words(1003) ==
        "port 1003/tcp was in use a moment ago and is kept back for reuse_delay_ms; try later, or another");
  rig.sweep({BookRig::socket(1005, 9)});
  CHECK(words(1005) ==
        "port 1005/tcp is held by a socket that nobody claimed; `tlsmux ports RIG` shows who has which; "
        "end that, or use another");
  auto nameless = process(0);
  nameless.client_id = 3;
  CHECK(rig.fixed(nameless, "HTTPS") == 443);
  CHECK(words(443).contains("is held by a process without a pid here of uid 500; "));
  CHECK(words(99).contains("is not one of the group RIG; use one that `tlsmux ports RIG` lists, or add it"));
}

TEST_CASE("ports.claim: two are the same process by inode, or by pid where an inode is unknown") {
  BookRig rig;
  CHECK(rig.number(1, 1003) == 1003);
  auto later = process(1);
  later.pidfd_inode = 77;  // the same pid again
  CHECK_FALSE(rig.book.release(tcp(1003), later, false, rig.now_ns));
  auto vague = process(1);
  vague.pidfd_inode = 0;
  CHECK(rig.book.release(tcp(1003), vague, false, rig.now_ns));
  CHECK(error_of(
            rig.book.claim({.kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = {}, .owner = {}},
                           rig.now_ns)) == EACCES);
}

TEST_CASE("ports.claim: a static port by its label, for its program only") {
  BookRig rig;
  auto web = process(3);
  web.program = "web";
  CHECK(rig.fixed(process(1), "HTTPS") == 443);
  CHECK(error_of(rig.fixed(process(2), "HTTPS")) == EADDRINUSE);
  CHECK(error_of(rig.fixed(process(2), "HTTP")) == EACCES);
  CHECK(error_of(rig.fixed(process(2), "NONE")) == ENOENT);
  CHECK(error_of(rig.fixed(process(2), "")) == EADDRINUSE);
  CHECK(rig.fixed(web, "") == 80);
  CHECK(rig.book.find(tcp(443))->label == "HTTPS");
  CHECK((rig.book.find(tcp(443))->flags & shm::kPortStatic) != 0);
}

TEST_CASE("ports.claim: a static port knows no reuse delay") {
  BookRig rig;
  CHECK(rig.fixed(process(1), "HTTPS") == 443);
  rig.sweep({BookRig::socket(443, 9)});
  CHECK(rig.state(443) == PortState::bound);
  rig.book.owner_died(process(1), rig.now_ns);
  const ports::ClaimOrder order{
      .kind = shm::PortClaimKind::labelled, .protocol = {}, .number = 0, .label = "HTTPS", .owner = process(2)};
  CHECK(rig.book.sweep_may_help(order));
  CHECK(error_of(rig.book.claim(order, rig.now_ns)) == EADDRINUSE);
  rig.sweep();
  CHECK(rig.book.claim(order, rig.now_ns) == 443);
}

TEST_CASE("ports.claim: a process has no more dynamic ports than per_process_max, leases included") {
  auto plan = rig_plan();
  plan.per_process_max = 2;
  BookRig rig(plan);
  CHECK(rig.book.lease(ports::Protocol::tcp, process(1), rig.now_ns) == 1000);
  CHECK(rig.dynamic(1) == 1001);
  CHECK(error_of(rig.dynamic(1)) == EADDRINUSE);
  CHECK(error_of(rig.number(1, 1007)) == EADDRINUSE);
  CHECK(rig.number(1, 1001) == 1001);
  CHECK(rig.number(1, 443) == 443);
  CHECK(rig.dynamic(2) == 1002);
  CHECK(rig.book.held_by(ports::Protocol::tcp, process(1)) == 2);
}

TEST_CASE("ports.claim: a label comes back to its port, before the reuse delay is over") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  CHECK(rig.dynamic(1, "BACK") == 1000);
  rig.book.owner_died(process(1), rig.now_ns);
  rig.sweep();
  CHECK(rig.state(1000) == PortState::quarantine);
  CHECK(error_of(rig.number(2, 1000)) == EADDRINUSE);
  CHECK(rig.dynamic(2, "BACK") == 1000);
}

TEST_CASE("ports.claim: a port that a label remembers goes to others only when nothing else is free") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  rig.book.owner_died(process(1), rig.now_ns);
  rig.sweep();
  rig.pass(kRigDelayNs);
  CHECK(rig.state(1000) == PortState::free);
  CHECK(rig.book.free_count(ports::Protocol::tcp) == 8);
  for (std::uint16_t port = 1001; port <= 1007; ++port) CHECK(rig.dynamic(2) == port);
  CHECK(rig.dynamic(2) == 1000);
  CHECK(error_of(rig.dynamic(3, "BACK")) == EADDRINUSE);
}

TEST_CASE("ports.claim: a label whose port another has gets another port from then on") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  CHECK(rig.dynamic(2, "BACK") == 1001);
  CHECK(rig.book.find(tcp(1000))->label.empty());
  CHECK(rig.book.find(tcp(1001))->label == "BACK");
}

TEST_CASE("ports.claim: a label whose port could not be bound gets another port from then on") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  CHECK(rig.book.release(tcp(1000), process(1), true, rig.now_ns));
  CHECK(rig.dynamic(1, "BACK") == 1001);
  // Also where it was bound before, and somebody was quicker than the next sweep.
  rig.sweep({BookRig::socket(1000, 9), BookRig::socket(1001, 10)});
  CHECK(rig.book.release(tcp(1001), process(1), true, rig.now_ns));
  CHECK(rig.book.sweep_may_help(
      {.kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = "BACK", .owner = process(1)}));
  CHECK(rig.dynamic(1, "BACK") == 1002);
  CHECK(rig.book.find(tcp(1001))->label.empty());
  CHECK(rig.book.find(tcp(1002))->label == "BACK");
}

TEST_CASE("ports.claim: who has a port is in the way also with the pid of who asks, and a label is not all that is") {
  auto plan = rig_plan();
  plan.dynamic[0] = {};
  plan.dynamic[0].add(ports::PortRange{1000, 1001});
  BookRig rig(plan);
  CHECK(rig.dynamic(1, "BACK") == 1000);
  auto later = process(1);
  later.pidfd_inode = 77;  // the same pid again
  const ports::ClaimOrder order{
      .kind = shm::PortClaimKind::number, .protocol = {}, .number = 1000, .label = {}, .owner = later};
  CHECK(rig.book.owners_in_the_way(order) == std::vector{process(1)});
  // The label's port is another's. The other one is released, and a sweep would tell that it is free.
  CHECK(rig.dynamic(2) == 1001);
  CHECK(rig.book.release(tcp(1001), process(2), false, rig.now_ns));
  CHECK(rig.book.sweep_may_help(
      {.kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = "BACK", .owner = process(3)}));
}

TEST_CASE("ports.claim: of more labels than are remembered the oldest is forgotten") {
  ports::PortLabels labels(2);
  CHECK(labels.remember(tcp(1), "A").empty());
  CHECK(labels.remember(tcp(2), "B").empty());
  CHECK(labels.remember(tcp(1), "A").empty());
  CHECK(labels.remember(tcp(3), "C") == std::vector{tcp(2)});
  CHECK(labels.find(ports::Protocol::tcp, "A") == tcp(1));
  CHECK_FALSE(labels.find(ports::Protocol::tcp, "B"));
  CHECK_FALSE(labels.find(ports::Protocol::udp, "A"));
  CHECK(labels.remember(tcp(4), "A") == std::vector{tcp(1)});
}

TEST_CASE("ports.lease: leases leave free_min ports, and a process has a quarter of the rest at the most") {
  auto plan = rig_plan();
  plan.dynamic[0].add(ports::PortRange{1000, 1019});
  plan.free_min = 4;
  BookRig rig(plan);
  const auto leases = [&](std::uint32_t owner) {
    int count = 0;
    while (rig.book.lease(ports::Protocol::tcp, process(owner), rig.now_ns)) ++count;
    return count;
  };
  CHECK(leases(1) == 3);  // of 16, 15, 14 beyond free_min; of 13 a fourth would be too much
  CHECK(leases(2) == 2);
  CHECK(leases(3) == 2);
  CHECK_FALSE(rig.book.is_scarce(ports::Protocol::tcp));
  for (int i = 0; i < 9; ++i) CHECK(rig.dynamic(4));
  CHECK(rig.book.is_scarce(ports::Protocol::tcp));
  CHECK(leases(5) == 0);
}

TEST_CASE("ports.lease: a taken one is claimed, a returned one is free at once") {
  BookRig rig;
  CHECK(rig.book.lease(ports::Protocol::tcp, process(1), rig.now_ns) == 1000);
  CHECK(rig.book.lease(ports::Protocol::tcp, process(2), rig.now_ns) == 1001);
  CHECK(rig.state(1000) == PortState::leased);
  CHECK(error_of(rig.number(1, 1000)) == EADDRINUSE);
  CHECK_FALSE(rig.book.release(tcp(1000), process(1), false, rig.now_ns));
  rig.book.lease_taken(tcp(1000), rig.now_ns);
  rig.book.lease_returned(tcp(1001), rig.now_ns);
  CHECK(rig.state(1000) == PortState::claimed);
  CHECK(rig.state(1001) == PortState::free);
  rig.book.lease_returned(tcp(1000), rig.now_ns);  // was told already
  CHECK(rig.state(1000) == PortState::claimed);
}

TEST_CASE("ports.lease: one on which somebody has bound meanwhile is not free when it comes back") {
  BookRig rig;
  CHECK(rig.book.lease(ports::Protocol::tcp, process(1), rig.now_ns) == 1000);
  rig.sweep({BookRig::socket(1000, 9, 77)});
  CHECK(rig.state(1000) == PortState::leased);
  rig.book.lease_returned(tcp(1000), rig.now_ns);
  CHECK(rig.state(1000) == PortState::external);
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
}
