// What a desk for ports goes on from that another one has left: delays and labels.

#include <cerrno>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "engine/ports/predecessor.hpp"
#include "shm/control_protocol.hpp"
#include "shm/row.hpp"
#include "tests/engine/port_desk_room.hpp"

using namespace tlsmux;
using shm::PortState;
using test::DeskRoom;
using test::tcp;

namespace {

config::GroupSettings two_ports() {
  auto settings = test::ebanking();
  settings.ports.dynamic = {{.from = 1000, .to = 1001, .protocols = config::PortProtocols::tcp}};
  return settings;
}

shm::ClaimPortRequest labelled(const std::string& label) {
  shm::ClaimPortRequest request{.header = {}, .kind = shm::PortClaimKind::dynamic, .protocol = shm::kPortTcp};
  shm::set_text(request.label, label);
  return request;
}

// As an engine reads it whose clocks differ by so much.
std::vector<ports::PortEntry> left_by(const DeskRoom& room, std::int64_t wall_offset_s = test::kWallOffsetS) {
  return engine::read_predecessor(room.tables(), "EBANKING", wall_offset_s);
}

}  // namespace

TEST_CASE("ports.desk gives out nothing earlier because another engine has begun, or the time of day was set") {
  for (const std::int64_t ahead_s : {-3600, -1, 0, 1, 3600}) {
    CAPTURE(ahead_s);
    test::FakePortWorld world;
    const auto settings = two_ports();  // 5 s
    auto before = std::make_unique<DeskRoom>(settings, &world);
    const auto client = before->attach();
    const auto port = tcp(before->claim(client));
    CHECK(before->claim(client) != 0);
    world.pass(700);  // no whole second
    before->release(client, port);
    before->settle();
    CHECK(before->state(port) == PortState::quarantine);
    world.end(1);
    world.pass(2'000);
    DeskRoom room(settings, &world, left_by(*before, test::kWallOffsetS + ahead_s));
    CHECK(room.state(port) == PortState::quarantine);
    const auto other = room.attach();
    world.pass(2'999);
    room.settle();
    CHECK(room.claim(other) == 0);
    world.pass(1);
    room.settle();
    CHECK(room.claim(other) == port.number);
  }
}

TEST_CASE("ports.desk holds back the whole delay where a table does not say how much is left") {
  test::FakePortWorld world;
  auto before = std::make_unique<DeskRoom>(two_ports(), &world);
  const auto client = before->attach();
  const auto port = tcp(before->claim(client));
  before->release(client, port);
  before->settle();
  const_cast<shm::PortRow*>(before->row(port))->until_ns = 0;  // as it was in earlier versions
  world.end(1);
  world.pass(4'000);
  DeskRoom room(two_ports(), &world, left_by(*before));
  world.pass(4'999);
  room.settle();
  CHECK(room.state(port) == PortState::quarantine);
  world.pass(1);
  room.settle();
  CHECK(room.state(port) == PortState::free);
}

TEST_CASE("ports.desk knows which label a free port had last, also after another engine, and shows nothing of it") {
  test::FakePortWorld world;
  auto before = std::make_unique<DeskRoom>(two_ports(), &world);
  for (int lives = 0; lives < 3; ++lives) {
    CAPTURE(lives);
    const auto client = before->attach();
    // Not the first one.
    const auto other = tcp(lives == 0 ? before->claim(client) : 1000);
    const auto got = before->claim(client, labelled("web"));
    REQUIRE(got);
    CHECK(got->port == 1001);
    CHECK(other == tcp(1000));
    before->kill(client);
    before->sweep(10);
    CHECK(before->rows().empty());
    CHECK(before->free_count() == 2);
    const auto left = left_by(*before);
    REQUIRE(left.size() == 1);
    CHECK(left[0] == ports::PortEntry{.port = tcp(1001), .owner = {}, .label = "web"});
    world.end(1);
    before = std::make_unique<DeskRoom>(two_ports(), &world, left);
    CHECK(before->log_text().contains("event=ports_adopted group=EBANKING ports=0 labels_of_free_ports=1"));
    CHECK(before->rows().empty());
    CHECK(before->free_count() == 2);
  }
  // To others it goes last, and is the label's no more.
  const auto client = before->attach();
  CHECK(before->claim(client) == 1000);
  CHECK(before->claim(client) == 1001);
  before->kill(client);
  before->sweep(10);
  CHECK(left_by(*before).empty());
}

TEST_CASE("ports.desk forgets labels of ports that the configuration takes away, in the table too") {
  test::FakePortWorld world;
  auto settings = two_ports();
  DeskRoom room(settings, &world);
  const auto client = room.attach();
  REQUIRE(room.claim(client, labelled("web")));
  REQUIRE(room.claim(client, labelled("db")));
  room.kill(client);
  room.sweep(10);
  CHECK(left_by(room).size() == 2);
  settings.ports.dynamic[0].from = 1001;
  room.desk.change_group(0, settings, test::members());
  const auto left = left_by(room);
  REQUIRE(left.size() == 1);
  CHECK(left[0].label == "db");
  // Taken over by an engine to which the port is nothing any more, or a static one.
  settings.ports.dynamic[0] = {.from = 1002, .to = 1003, .protocols = config::PortProtocols::tcp};
  settings.ports.static_ports[0].port = 1001;
  DeskRoom next(settings, &world, left);
  CHECK(left_by(next).empty());
  CHECK(next.free_count() == 2);
}
