// The desk for ports in a world that the test makes: what clients ask for, and what becomes of it. The book has tests of
// its own (tests/ports); here is what goes in and what members see.

#include <unistd.h>

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "engine/ports/port_rows.hpp"
#include "shm/port_lease.hpp"
#include "tests/engine/port_desk_room.hpp"

using namespace tlsmux;
using shm::PortState;
using test::DeskRoom;
using test::tcp;
using test::udp;

namespace {

shm::ClaimPortRequest claim_of(shm::PortClaimKind kind, std::string_view label = {}, std::uint16_t number = 0) {
  shm::ClaimPortRequest request{.header = {}, .kind = kind, .protocol = shm::kPortTcp, .port = number};
  shm::set_text(request.label, label);
  return request;
}

config::GroupSettings with_leases() {
  auto settings = test::ebanking();
  settings.ports.leases_per_process = 4;
  return settings;
}

std::uint16_t take(const DeskRoom::Client& client) {
  const auto port = shm::take_lease(client.leases->tcp);
  REQUIRE(port);
  return *port;
}

}  // namespace

TEST_CASE("ports.desk shows a claim with its owner, and frees the port after the delay") {
  DeskRoom room;
  const auto client = room.attach();
  CHECK(room.free_count() == 100);
  const auto port = tcp(room.claim(client));
  REQUIRE(port.number != 0);
  const auto* const row = room.row(port);
  REQUIRE(row != nullptr);
  CHECK(row->state == PortState::claimed);
  CHECK(row->pid == client.pid);
  CHECK(row->uid == test::kMemberUid);
  CHECK(row->client_id == client.id);
  CHECK(row->pidfd_inode != 0);
  CHECK(row->since_s == 1000 + test::kWallOffsetS);
  CHECK(shm::text_of(row->program) == "app");
  CHECK(shm::text_of(row->service) == "EBANKING");
  CHECK(room.free_count() == 99);

  const auto socket = room.world.bind(client.pid, port);
  room.sweep();
  CHECK(room.row(port)->state == PortState::bound);
  CHECK(room.row(port)->socket_inode == socket);

  room.release(client, port);
  room.sweep();
  CHECK(room.state(port) == PortState::bound);  // the socket is there still
  room.world.close(socket);
  room.sweep();
  CHECK(room.state(port) == PortState::quarantine);
  CHECK(room.row(port)->until_s != 0);
  room.sweep(5);
  CHECK(room.state(port) == PortState::free);
  CHECK(room.free_count() == 100);
  CHECK(room.view().port_summaries()[0].claims == 1);
}

TEST_CASE("ports.desk uses the rows of its tables again") {
  auto settings = test::ebanking();
  settings.ports.reuse_delay_ms = 0;
  DeskRoom room(settings);
  const auto client = room.attach();
  for (std::size_t i = 0; i <= room.view().ports().size(); ++i) {
    const auto port = tcp(room.claim(client));
    REQUIRE(port.number != 0);
    REQUIRE(room.row(port) == &room.view().ports()[0]);
    room.release(client, port);
    room.sweep();
    REQUIRE(room.rows().empty());
  }
}

TEST_CASE("ports.desk gives a process no more than its quota, and says so") {
  auto settings = test::ebanking();
  settings.ports.per_process_max = 2;
  DeskRoom room(settings);
  const auto client = room.attach();
  const auto other = room.attach();
  CHECK(room.claim(client) != 0);
  CHECK(room.claim(client) != 0);
  const auto refused = room.claim(client, claim_of(shm::PortClaimKind::dynamic));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EADDRINUSE);
  CHECK(refused.error().text.find("per_process_max") != std::string::npos);
  CHECK(room.claim(other) != 0);
  CHECK(room.view().port_summaries()[0].claims_refused == 1);
}

TEST_CASE("ports.desk knows static ports, labels, and what makes no sense") {
  DeskRoom room;
  const auto client = room.attach();
  const auto pos = room.claim(client, claim_of(shm::PortClaimKind::labelled, "pos"));
  REQUIRE(pos);
  CHECK(pos->port == 2000);
  CHECK(room.row(tcp(2000))->flags == shm::kPortStatic);
  CHECK(shm::text_of(room.row(tcp(2000))->label) == "pos");

  CHECK(room.claim(client, claim_of(shm::PortClaimKind::labelled, "atm")).error().error == ENOENT);
  // Nobody's, until a group has it.
  CHECK(room.claim(client, claim_of(shm::PortClaimKind::number, {}, 3000)).error().error == ENOENT);
  auto others = test::ebanking();
  others.name = "CLEARING";
  others.ports.static_ports[0].port = 3000;
  room.add_group(others);
  CHECK(room.claim(client, claim_of(shm::PortClaimKind::number, {}, 3000)).error().error == EACCES);
  const auto unprintable = room.claim(client, claim_of(shm::PortClaimKind::dynamic, "\x1b[2J"));
  REQUIRE_FALSE(unprintable);
  CHECK(unprintable.error().error == EINVAL);
  CHECK(room.desk.take_offences().empty());

  auto senseless = claim_of(shm::PortClaimKind::dynamic);
  senseless.protocol = shm::kPortTcp | shm::kPortUdp;
  CHECK(room.claim(client, senseless).error().error == EPROTO);
  CHECK(room.desk.take_offences().size() == 1);
}

TEST_CASE("ports.desk brings a label back to its port without delay when the process has died") {
  DeskRoom room;
  const auto client = room.attach();
  const auto first = room.claim(client, claim_of(shm::PortClaimKind::dynamic, "web"));
  REQUIRE(first);
  room.world.bind(client.pid, tcp(static_cast<std::uint16_t>(first->port)));
  room.sweep();
  // The next one asks before the desk has looked: it looks then.
  room.world.end(client.pid);
  room.desk.client_left(client.id);
  room.desk.client_died(client.id);
  const auto next = room.attach();
  const auto second = room.claim(next, claim_of(shm::PortClaimKind::dynamic, "web"));
  REQUIRE(second);
  CHECK(second->port == first->port);
  CHECK(room.rows().size() == 1);
}

TEST_CASE("ports.desk offers leases, sees what was taken, and offers others for it") {
  DeskRoom room(with_leases());
  const auto client = room.attach();
  CHECK(room.claim(client) != 0);
  CHECK(room.rows().size() == 1);  // it did not ask for leases
  CHECK(room.claim(client, true) != 0);
  CHECK(room.rows().size() == 6);
  const auto port = tcp(take(client));
  CHECK(room.state(port) == PortState::leased);  // nobody has told
  room.desk.refill(client.id);
  CHECK(room.state(port) == PortState::claimed);
  CHECK(room.rows().size() == 7);
  // What is not refilled is seen by the next sweep, and bound at once.
  const auto another = tcp(take(client));
  room.world.bind(client.pid, another);
  room.sweep();
  CHECK(room.state(another) != PortState::leased);
  room.sweep();
  CHECK(room.state(another) == PortState::bound);
  CHECK(room.world.looked_up.empty());
}

TEST_CASE("ports.desk takes leases back when a process leaves, and leaves it what it has") {
  DeskRoom room(with_leases());
  const auto client = room.attach();
  const auto claimed = tcp(room.claim(client, true));
  const auto taken = tcp(take(client));
  room.world.bind(client.pid, taken);
  room.desk.client_left(client.id);
  CHECK_FALSE(shm::take_lease(client.leases->tcp));
  CHECK(room.rows().size() == 2);
  SUBCASE("its end is told") {
    room.desk.client_forgotten(client.id, shm::UniqueFd(::dup(0)));
    room.sweep(20);
    CHECK(room.state(claimed) == PortState::claimed);
    CHECK(room.state(taken) == PortState::bound);
    CHECK(room.world.watched() == 1);
    room.world.end(client.pid);
    room.settle();
    CHECK(room.state(claimed) == PortState::quarantine);
    CHECK(room.state(taken) == PortState::quarantine);
  }
  SUBCASE("its end is seen") {
    room.desk.client_forgotten(client.id, {});
    room.sweep(20);
    CHECK(room.world.watched() == 0);
    CHECK(room.state(claimed) == PortState::claimed);
    room.world.end(client.pid);
    room.sweep(20);
    CHECK(room.rows().empty());
  }
  SUBCASE("it has given all back, and is not watched any more") {
    room.desk.client_forgotten(client.id, shm::UniqueFd(::dup(0)));
    room.world.end(client.pid);
    room.settle();
    room.sweep(20);
    CHECK(room.world.watched() == 0);
    CHECK(room.rows().empty());
  }
}

TEST_CASE("ports.desk takes leases back from idle processes before anybody goes without") {
  auto settings = with_leases();
  settings.ports.dynamic = {{.from = 1000, .to = 1019, .protocols = config::PortProtocols::tcp}};
  DeskRoom room(settings);
  const auto idle = room.attach();
  const auto busy = room.attach();
  CHECK(room.claim(idle, true) != 0);
  for (int i = 0; i < 19; ++i) CHECK(room.claim(busy) != 0);
  CHECK(room.claim(busy) == 0);
  CHECK_FALSE(shm::take_lease(idle.leases->tcp));
  CHECK(room.rows().size() == 20);
}

TEST_CASE("ports.desk gives the leased port itself to whoever names it") {
  DeskRoom room(with_leases());
  const auto idle = room.attach();
  const auto client = room.attach();
  CHECK(room.claim(idle, true) != 0);
  for (const auto* row : room.rows()) {
    if (row->state != PortState::leased) continue;
    const auto number = row->port;
    CHECK(room.claim(client, claim_of(shm::PortClaimKind::number, {}, number)));
    CHECK(room.row(tcp(number))->pid == client.pid);
    return;
  }
  FAIL("no lease");
}

TEST_CASE("hostile.desk ends a client that writes into its leases, and nobody else") {
  DeskRoom room(with_leases());
  const auto hostile = room.attach();
  const auto victim = room.attach();
  const auto held = tcp(room.claim(hostile, true));
  const auto unbound = tcp(room.claim(hostile));
  room.world.bind(hostile.pid, held);
  room.sweep();
  const auto victims = tcp(room.claim(victim, true));
  const auto rows = room.rows().size();

  SUBCASE("a port that it was not offered") {
    hostile.leases->tcp[0] = shm::pack({.generation = 1, .port = victims.number, .state = shm::LeaseState::taken});
  }
  SUBCASE("a state that there is not") { hostile.leases->tcp[1] = ~std::uint64_t{0}; }
  SUBCASE("another generation") { hostile.leases->tcp[0] = hostile.leases->tcp[0] + (std::uint64_t{1} << 32); }
  room.desk.refill(hostile.id);

  const auto offences = room.desk.take_offences();
  REQUIRE(offences.size() == 1);
  CHECK(offences[0].client == hostile.id);
  CHECK(offences[0].rule.find("leases") != std::string::npos);
  CHECK(room.claim(hostile) == 0);
  room.desk.client_left(hostile.id);
  room.settle();
  CHECK(room.desk.take_offences().empty());
  CHECK(room.state(victims) == PortState::claimed);
  CHECK(room.row(victims)->pid == victim.pid);
  CHECK(room.state(unbound) == PortState::quarantine);
  CHECK(room.state(held) == PortState::bound);  // the kernel says so
  CHECK(room.rows().size() < rows);
  CHECK(room.claim(victim) != 0);
}

TEST_CASE("hostile.desk gives no claim and no lease when the table of ports is full") {
  auto settings = with_leases();
  settings.ports.dynamic = {{.from = 1000, .to = 1199, .protocols = config::PortProtocols::tcp}};
  DeskRoom room(settings);
  const auto client = room.attach();
  const auto capacity = engine::port_rows_made(settings).ports;
  REQUIRE(room.view().ports().size() == capacity);
  // Three times another range, each time with all ports in use.
  for (std::uint16_t round = 0; room.rows().size() < capacity; ++round) {
    REQUIRE(round < 4);
    const auto from = static_cast<std::uint16_t>(1000 + round * 200);
    settings.ports.dynamic[0].from = from;
    settings.ports.dynamic[0].to = static_cast<std::uint16_t>(from + 199);
    room.desk.change_group(0, settings, test::members());
    while (const auto number = room.claim(client)) room.world.bind(client.pid, tcp(number));
    room.sweep();
  }
  const auto refused = room.claim(client, claim_of(shm::PortClaimKind::dynamic));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EADDRINUSE);
  CHECK(refused.error().text.find("table") != std::string::npos);
  CHECK(room.log_text().find("event=port_table_full") != std::string::npos);
  CHECK(room.rows().size() == capacity);
}
