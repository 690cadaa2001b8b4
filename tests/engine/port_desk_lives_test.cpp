// The desk for ports over the lives of others: processes that die, strangers, an engine that died, another configuration.

#include <algorithm>
#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "engine/ports/port_rows.hpp"
#include "engine/ports/predecessor.hpp"
#include "shm/row.hpp"
#include "tests/engine/port_desk_room.hpp"

using namespace tlsmux;
using shm::PortState;
using test::count_of;
using test::DeskRoom;
using test::tcp;

TEST_CASE("ports.desk frees what a dead process had, without waiting for the next sweep") {
  DeskRoom room;
  const auto client = room.attach();
  const auto unbound = tcp(room.claim(client));
  const auto bound = tcp(room.claim(client));
  room.world.bind(client.pid, bound);
  room.sweep();
  room.kill(client);
  CHECK(room.state(unbound) == PortState::quarantine);
  CHECK(room.state(bound) == PortState::quarantine);
  room.sweep(5);
  CHECK(room.rows().empty());
}

TEST_CASE("ports.desk leaves a dead process's port to the child that has its socket") {
  DeskRoom room;
  const auto client = room.attach();
  const auto port = tcp(room.claim(client));
  const auto socket = room.world.bind(client.pid, port);
  room.sweep();
  const auto child = room.world.start(77, {.uid = test::kMemberUid, .program = "child"});
  room.world.share(socket, child.pid);
  room.kill(client);
  CHECK(room.state(port) == PortState::bound);
  CHECK(room.row(port)->pid == 77);
  CHECK(shm::text_of(room.row(port)->program) == "child");
  CHECK(room.free_count() == 99);
  // And of the child's end nobody tells.
  room.world.end(77);
  room.sweep(20);
  CHECK(room.rows().empty());
}

TEST_CASE("ports.desk names a stranger's socket, logs it once, and gives the port to nobody") {
  DeskRoom room;
  room.world.start(88, {.uid = test::kStrangerUid, .gids = {700}, .program = "evil\n\x1b[2J"});
  const auto socket = room.world.bind(88, tcp(1005));
  room.world.bind(88, tcp(2000));
  room.sweep(10);  // of all ports
  CHECK(room.state(tcp(1005)) == PortState::external);
  CHECK(room.row(tcp(1005))->pid == 88);
  CHECK(room.row(tcp(1005))->socket_inode == socket);
  room.sweep(30);
  const auto log = room.log_text();
  CHECK(count_of(log, "event=port_held_by_stranger") == 2);
  CHECK(log.find("evil") != std::string::npos);
  CHECK(log.find('\x1b') == std::string::npos);
  const auto client = room.attach();
  CHECK(room.claim(client, test::claim_of(1005)).error().error == EADDRINUSE);
  for (int i = 0; i < 99; ++i) CHECK(room.claim(client) != 1005);
  CHECK(room.claim(client) == 0);
  room.world.close(socket);
  room.sweep(10);
  CHECK(room.claim(client) == 1005);
}

TEST_CASE("ports.desk enters what a member bound without asking") {
  DeskRoom room;
  room.world.start(89, {.uid = 700, .gids = {5, test::kMemberGid}, .program = "plain"});
  room.world.bind(89, tcp(1005));
  room.sweep(10);
  CHECK(room.state(tcp(1005)) == PortState::bound);
  CHECK(room.row(tcp(1005))->flags == shm::kPortObserved);
  CHECK(room.row(tcp(1005))->pid == 89);
  CHECK(count_of(room.log_text(), "event=port_held_by_stranger") == 0);
}

TEST_CASE("ports.desk looks for who is in the way when a port could not be bound") {
  DeskRoom room;
  const auto client = room.attach();
  const auto port = tcp(room.claim(client));
  room.world.start(88, {.uid = test::kStrangerUid, .gids = {}, .program = "squatter"});
  room.world.bind(88, port);
  room.release(client, port, true);
  room.settle();
  CHECK(room.state(port) == PortState::external);
  CHECK(shm::text_of(room.row(port)->program) == "squatter");
  CHECK(count_of(room.log_text(), "event=port_held_by_stranger") == 1);
}

TEST_CASE("ports.desk claims in the name of a process of the same user, and sees its end") {
  DeskRoom room;
  const auto command = room.attach();
  room.world.start(50, {.uid = test::kMemberUid, .gids = {9}, .program = "sh"});
  room.world.start(51, {.uid = test::kStrangerUid, .gids = {test::kMemberGid}, .program = "other"});
  const auto reply = room.claim(command, test::claim_of(0, 50));
  REQUIRE(reply);
  const auto port = tcp(static_cast<std::uint16_t>(reply->port));
  CHECK(room.row(port)->pid == 50);
  CHECK(room.claim(command, test::claim_of(0, 50)));
  CHECK(room.world.watched() == 1);
  CHECK(room.claim(command, test::claim_of(0, 51)).error().error == EACCES);  // a member, of another user
  CHECK(room.claim(command, test::claim_of(0, 52)).error().error == ESRCH);
  room.kill(command);
  room.sweep(20);
  CHECK(room.state(port) == PortState::claimed);
  room.world.end(50);
  room.settle();
  CHECK(room.state(port) == PortState::quarantine);
  room.sweep(5);
  CHECK(room.rows().empty());
}

TEST_CASE("hostile.desk watches so many processes for a client and no more") {
  DeskRoom room;
  const auto client = room.attach();
  std::uint32_t granted = 0;
  for (std::uint32_t pid = 200; pid < 260; ++pid) {
    room.world.start(pid, {.uid = test::kMemberUid, .gids = {9}});
    if (room.claim(client, test::claim_of(0, pid))) ++granted;
  }
  CHECK(granted == engine::PortDesk::kNamedPerClientMax);
  CHECK(room.world.watched() == granted);
  CHECK(room.claim(client, test::claim_of(0, 255)).error().error == EAGAIN);
  room.sweep(30);
  CHECK(room.rows().size() == granted);
}

TEST_CASE("ports.desk takes over what a dead engine left, as far as it is true") {
  test::FakePortWorld world;
  auto settings = test::ebanking();
  settings.ports.leases_per_process = 2;
  auto before = std::make_unique<DeskRoom>(settings, &world);
  const auto alive = before->attach();
  const auto dies = before->attach();
  const auto bound = tcp(before->claim(alive, true));
  const auto claimed = tcp(before->claim(alive));
  const auto of_dead = tcp(before->claim(dies));
  world.bind(alive.pid, bound);
  before->sweep();
  const auto rows = before->rows();
  const auto leased = tcp((*std::ranges::find(rows, PortState::leased, &shm::PortRow::state))->port);
  // The engine dies, and so does one of its clients; another process gets its number.
  world.end(1);
  world.end(dies.pid);
  world.start(dies.pid, {.uid = test::kMemberUid, .program = "later"});
  const auto entries = engine::read_predecessor(before->tables(), "EBANKING", test::kWallOffsetS);
  CHECK(entries.size() == rows.size());
  CHECK(engine::read_predecessor(before->tables(), "OTHER", test::kWallOffsetS).empty());
  CHECK(engine::read_predecessor(before->tables().first(640), "EBANKING", test::kWallOffsetS).empty());

  DeskRoom room(settings, &world, entries);
  CHECK(room.state(bound) == PortState::bound);
  CHECK(room.row(bound)->pid == alive.pid);
  CHECK(room.row(bound)->client_id == 0);
  CHECK(room.row(bound)->since_s == before->row(bound)->since_s);
  CHECK(room.state(claimed) == PortState::claimed);
  CHECK(room.state(of_dead) == PortState::quarantine);
  CHECK(room.state(leased) == PortState::leased);  // its client may not know yet
  room.sweep(3);
  CHECK(room.state(leased) != PortState::leased);
  world.end(alive.pid);
  room.sweep(20);
  CHECK(room.rows().empty());
}

TEST_CASE("ports.desk passes over rows that an engine died over") {
  DeskRoom room;
  const auto client = room.attach();
  const auto port = tcp(room.claim(client));
  CHECK(room.claim(client) != 0);
  const_cast<shm::PortRow*>(room.row(port))->sequence.fetch_add(1);
  const auto entries = engine::read_predecessor(room.tables(), "EBANKING", test::kWallOffsetS);
  CHECK(entries.size() == 1);
}

TEST_CASE("ports.desk keeps ports that a refresh takes away with those who hold them") {
  auto settings = test::ebanking();
  DeskRoom room(settings);
  const auto client = room.attach();
  const auto kept = room.claim(client, test::claim_of(1000));
  const auto outside = room.claim(client, test::claim_of(1099));
  REQUIRE(kept);
  REQUIRE(outside);
  const auto socket = room.world.bind(client.pid, tcp(1099));
  room.sweep();
  settings.ports.dynamic[0].to = 1049;
  settings.ports.static_ports[0].port = 2001;
  room.desk.change_group(0, settings, {.users = {test::kMemberUid}, .groups = {}});
  CHECK(room.row(tcp(1099))->flags == shm::kPortGrandfathered);
  CHECK(room.row(tcp(1000))->flags == 0);
  CHECK(room.free_count() == 49);
  CHECK(room.view().port_summaries()[0].dynamic_ports[0] == 50);
  room.sweep(20);
  CHECK(room.state(tcp(1099)) == PortState::bound);
  CHECK(room.claim(client, test::claim_of(1098)).error().error == ENOENT);  // nobody's now
  room.world.close(socket);
  room.sweep(3);
  CHECK(room.state(tcp(1099)) == PortState::free);
  const auto rules = room.view().port_rules();
  CHECK(rules[0].kind == shm::PortRuleKind::user);
  CHECK(rules[1].kind == shm::PortRuleKind::static_port);
  CHECK(rules[1].from == 2001);
  CHECK(rules[2].to == 1049);
  CHECK(rules[3].kind == shm::PortRuleKind::none);
}

TEST_CASE("ports.desk says what a refresh lacks room for") {
  auto settings = test::ebanking();
  const auto made = engine::port_rows_made(settings);
  CHECK(engine::check_port_rows(settings, made));
  settings.ports.dynamic[0].to = 1200;
  CHECK(engine::check_port_rows(settings, made));
  settings.ports.dynamic[0].to = 1500;
  const auto refused = engine::check_port_rows(settings, made);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().find("room for 466 ports, the new configuration needs 1003; restart tlsmuxd") !=
        std::string::npos);
}

TEST_CASE("ports.desk shows the rules of the group") {
  DeskRoom room;
  const auto rules = room.view().port_rules();
  CHECK(rules[0].kind == shm::PortRuleKind::user);
  CHECK(rules[0].account == test::kMemberUid);
  CHECK(rules[1].kind == shm::PortRuleKind::unix_group);
  CHECK(rules[1].account == test::kMemberGid);
  CHECK(rules[2].kind == shm::PortRuleKind::static_port);
  CHECK(rules[2].from == 2000);
  CHECK(shm::text_of(rules[2].label) == "pos");
  CHECK(rules[2].protocols == shm::kPortTcp);
  CHECK(rules[3].kind == shm::PortRuleKind::dynamic_range);
  CHECK(rules[3].from == 1000);
  CHECK(rules[3].to == 1099);
  CHECK(rules[3].protocols == (shm::kPortTcp | shm::kPortUdp));
  CHECK(shm::text_of(rules[3].service) == "EBANKING");
  CHECK(rules[4].kind == shm::PortRuleKind::none);
}

TEST_CASE("ports.desk keeps an upstream's source ports, also from a dead engine") {
  test::FakePortWorld world;
  config::UpstreamSettings upstream;
  upstream.name = "visa";
  upstream.sessions = 4;
  upstream.tcp.source_ports = "EBANKING";
  auto before = std::make_unique<DeskRoom>(test::ebanking(), &world);
  const auto source_ports = before->desk.source_ports(0, upstream);
  CHECK(source_ports.size() == 10);
  before->sweep(20);
  for (const auto number : source_ports) CHECK(before->state(tcp(number)) == PortState::claimed);
  CHECK(before->row(tcp(source_ports[0]))->flags == shm::kPortEngine);
  CHECK(shm::text_of(before->row(tcp(source_ports[0]))->program) == "tlsmuxd");

  world.end(1);
  const auto entries = engine::read_predecessor(before->tables(), "EBANKING", test::kWallOffsetS);
  DeskRoom room(test::ebanking(), &world, entries);
  auto again = room.desk.source_ports(0, upstream);
  CHECK(std::ranges::is_permutation(again, source_ports));
  upstream.sessions = 6;
  CHECK(room.desk.source_ports(0, upstream).size() == 14);
  room.desk.drop_source_ports(0);
  room.sweep(20);
  CHECK(room.rows().empty());

  upstream.sessions = 60;
  CHECK(room.desk.source_ports(0, upstream).size() == 100);
  CHECK(room.log_text().find("event=source_ports_few upstream=visa group=EBANKING wanted=122 claimed=100") !=
        std::string::npos);
}

TEST_CASE("ports.desk sweeps while anything is held, all ports each tenth time, and goes on after a failure") {
  DeskRoom room;
  CHECK(room.world.sweeps == 2);  // of both protocols, at the start
  room.sweep(9);
  CHECK(room.world.sweeps == 2);
  room.sweep();
  CHECK(room.world.sweeps == 4);
  const auto client = room.attach();
  const auto port = tcp(room.claim(client));
  room.sweep(3);
  CHECK(room.world.sweeps == 7);  // of TCP only
  room.world.bind(client.pid, port);
  room.world.is_mute = true;
  room.sweep();
  CHECK(room.log_text().find("the kernel is mute") != std::string::npos);
  CHECK(room.state(port) == PortState::claimed);
  room.world.is_mute = false;
  room.sweep();
  CHECK(room.state(port) == PortState::bound);
}

TEST_CASE("ports.desk does nothing more for a group that is removed") {
  DeskRoom room;
  const auto client = room.attach();
  CHECK(room.claim(client) != 0);
  room.desk.remove_group(0);
  CHECK(room.claim(client, test::claim_of(0)).error().error == ENOENT);
  room.sweep(20);
  room.kill(client);
  CHECK(room.rows().size() == 1);  // as it was
}
