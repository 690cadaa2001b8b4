// The desk for ports where one port could come to have two owners, or one that nobody can end.

#include <cerrno>
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "shm/port_lease.hpp"
#include "tests/engine/port_desk_room.hpp"

using namespace tlsmux;
using shm::PortState;
using test::DeskRoom;
using test::tcp;

namespace {

shm::ClaimPortRequest claim_of(std::uint16_t number, std::uint32_t leases = 0) {
  return {
      .header = {}, .kind = shm::PortClaimKind::number, .protocol = shm::kPortTcp, .port = number, .leases = leases};
}

// A dynamic port of that label; 0: refused.
std::uint16_t claim_labelled(DeskRoom& room, const DeskRoom::Client& client) {
  shm::ClaimPortRequest request{.header = {}, .kind = shm::PortClaimKind::dynamic, .protocol = shm::kPortTcp};
  shm::set_text(request.label, "back");
  const auto reply = room.claim(client, request);
  return reply ? static_cast<std::uint16_t>(reply->port) : std::uint16_t{0};
}

config::GroupSettings few_ports_with_leases() {
  auto settings = test::ebanking();
  settings.ports.dynamic = {{.from = 1000, .to = 1015, .protocols = config::PortProtocols::tcp}};
  settings.ports.leases_per_process = 4;
  settings.ports.reuse_delay_ms = 0;
  return settings;
}

}  // namespace

TEST_CASE("ports.desk leaves a claimed port to its living owner however often others ask for it") {
  DeskRoom room;
  const auto owner = room.attach();
  const auto other = room.attach();
  const auto port = room.claim(owner);
  for (int i = 0; i < 30; ++i) {
    CHECK(room.claim(other, claim_of(port)).error().error == EADDRINUSE);
    room.sweep();
  }
  CHECK(room.state(tcp(port)) == PortState::claimed);
  CHECK(room.row(tcp(port))->pid == owner.pid);
}

TEST_CASE("ports.desk moves a label on when somebody of the same user sits on its port") {
  DeskRoom room;
  const auto client = room.attach();
  const auto port = claim_labelled(room, client);
  REQUIRE(port != 0);
  // No member: its real user is another.
  room.world.start(88, {.uid = test::kMemberUid, .gids = {9}, .program = "squatter"});
  bool had_it_before = false;
  SUBCASE("who was quicker than the bind") { room.world.bind(88, tcp(port)); }
  SUBCASE("and passes for the owner by the number of the user") {
    room.world.bind(88, tcp(port));
    room.sweep(2);
    CHECK(room.row(tcp(port))->pid == client.pid);
  }
  SUBCASE("who was quicker than a bind after a restart of the server") {
    const auto socket = room.world.bind(client.pid, tcp(port));
    room.sweep();
    room.world.close(socket);
    room.world.bind(88, tcp(port));
    CHECK(claim_labelled(room, client) == port);
    SUBCASE("as far as it knows") { had_it_before = true; }
  }
  SUBCASE("who was quicker than a bind after one that no sweep has seen") {
    CHECK(claim_labelled(room, client) == port);
    room.world.bind(88, tcp(port));
    had_it_before = true;
  }
  if (had_it_before) {
    room.report_in_use(client, tcp(port));
  } else {
    room.release(client, tcp(port), true);
  }
  const auto next = claim_labelled(room, client);
  CHECK(next != 0);
  CHECK(next != port);
  CHECK(shm::text_of(room.row(tcp(next))->label) == "back");
  CHECK(shm::text_of(room.row(tcp(port))->label).empty());
  room.sweep(2);
  CHECK(room.row(tcp(port))->pid == 88);
  CHECK(claim_labelled(room, client) == next);
}

TEST_CASE("ports.desk leaves a label where its owner's own socket is in the way") {
  DeskRoom room;
  const auto client = room.attach();
  const auto port = claim_labelled(room, client);
  room.world.bind(client.pid, tcp(port));
  room.sweep();
  for (int i = 0; i < 10; ++i) {
    CHECK(claim_labelled(room, client) == port);
    if (i < 5) {
      room.release(client, tcp(port), true);
    } else {
      room.report_in_use(client, tcp(port));
    }
  }
  room.sweep(5);
  CHECK(room.state(tcp(port)) == PortState::bound);
  CHECK(shm::text_of(room.row(tcp(port))->label) == "back");
}

TEST_CASE("ports.desk does not take back from one process what was on lease to another that is dead") {
  DeskRoom room(few_ports_with_leases());
  const auto dies = room.attach();
  CHECK(room.claim(dies, true) == 1000);  // and 1001 to 1003 on lease
  const auto many = room.attach();
  for (std::uint16_t port = 1004; port <= 1014; ++port) CHECK(room.claim(many) == port);
  for (std::uint16_t port = 1004; port <= 1010; ++port) room.release(many, tcp(port));
  room.settle();
  CHECK(room.free_count() == 8);
  CHECK(room.state(tcp(1001)) == PortState::leased);
  // Its port is another's before its death is told.
  room.world.end(dies.pid);
  const auto heir = room.attach();
  REQUIRE(room.claim(heir, claim_of(1000, 1)));
  REQUIRE(room.row(tcp(1001)) != nullptr);
  CHECK(room.row(tcp(1001))->pid == heir.pid);
  room.kill(dies);
  CHECK(room.state(tcp(1001)) == PortState::leased);
  CHECK(room.row(tcp(1001))->pid == heir.pid);
  std::set<std::uint16_t> given{1000};
  while (const auto port = shm::take_lease(heir.leases->tcp)) CHECK(given.insert(*port).second);
  CHECK(given.contains(1001));
  const auto last = room.attach();
  while (const auto port = room.claim(last)) CHECK(given.insert(port).second);
}

TEST_CASE("ports.desk frees what a dead process had when its number is another's who is attached") {
  DeskRoom room;
  const auto before = room.attach();
  const auto port = room.claim(before);
  room.desk.client_left(before.id);
  room.desk.client_forgotten(before.id, {});  // cannot be watched
  room.world.end(before.pid);
  const auto later = room.attach({.uid = test::kMemberUid, .gids = {9}}, 0, before.pid);
  CHECK(later.pid == before.pid);
  SUBCASE("in a while") {
    room.sweep(20);
    CHECK(room.rows().empty());
  }
  SUBCASE("when it is asked for") {
    CHECK(room.claim(later, claim_of(port)).error().error == EADDRINUSE);  // the reuse delay
    CHECK(room.state(tcp(port)) == PortState::quarantine);
  }
}

TEST_CASE("ports.desk gives a port that has gone to another group to nobody while a process of the first has it") {
  auto settings = few_ports_with_leases();
  DeskRoom room(settings);
  auto shop = test::ebanking();
  shop.name = "SHOP";
  shop.ports.static_ports.clear();
  shop.ports.dynamic = {{.from = 3000, .to = 3009, .protocols = config::PortProtocols::tcp}};
  room.add_group(shop);
  const auto owner = room.attach();
  CHECK(room.claim(owner, true) == 1000);
  const auto taken = shm::take_lease(owner.leases->tcp);
  REQUIRE(taken);
  settings.ports.dynamic[0] = {.from = 1008, .to = 1015, .protocols = config::PortProtocols::tcp};
  shop.ports.dynamic[0] = {.from = 1000, .to = 1007, .protocols = config::PortProtocols::tcp};
  room.desk.change_group(0, settings, test::members());
  room.desk.change_group(1, shop, test::members());
  CHECK_FALSE(shm::take_lease(owner.leases->tcp));
  CHECK(room.state(tcp(1000)) == PortState::claimed);
  const auto other = room.attach({.uid = test::kMemberUid, .gids = {9}}, 1);
  CHECK(room.claim(other, claim_of(1000)).error().error == EADDRINUSE);
  int count = 0;
  while (const auto port = room.claim(other)) {
    CHECK(port != 1000);
    CHECK(port != *taken);
    ++count;
  }
  CHECK(count == 6);
  room.sweep(20);
  CHECK(room.claim(other) == 0);
  room.kill(owner);
  room.sweep(3);
  CHECK(std::set{room.claim(other), room.claim(other)} == std::set<std::uint16_t>{1000, *taken});
}

TEST_CASE("ports.desk takes back what is on lease in a group that is removed") {
  DeskRoom room(few_ports_with_leases());
  const auto client = room.attach();
  CHECK(room.claim(client, true) != 0);
  room.desk.remove_group(0);
  CHECK_FALSE(shm::take_lease(client.leases->tcp));
}
