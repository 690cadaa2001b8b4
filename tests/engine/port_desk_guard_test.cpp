// The desk for ports and what keeps others off them: the guard's events, members that it cannot know, levels that are missing.

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/engine/port_desk_room.hpp"

using namespace tlsmux;
using shm::PortState;
using test::count_of;
using test::DeskRoom;
using test::tcp;

namespace {

engine::broker::PortLevels guarded() {
  engine::broker::PortLevels levels;
  levels.guard.state = shm::PortEnforcement::on;
  return levels;
}

}  // namespace

TEST_CASE("ports.desk shows what the guard saw: who was refused, and binds by members") {
  DeskRoom room;
  const auto client = room.attach();
  for (std::uint32_t i = 0; i < 100; ++i) {
    room.world.news.events.push_back({.at_ns = room.world.time_ns,
                                      .pid = 40 + i,
                                      .uid = test::kStrangerUid,
                                      .gid = 700,
                                      .service = 0,
                                      .port = tcp(1007),
                                      .is_denied = true,
                                      .program = "evil"});
  }
  room.world.news.events.push_back({.at_ns = room.world.time_ns,
                                    .pid = client.pid,
                                    .uid = test::kMemberUid,
                                    .gid = 9,
                                    .service = 0,
                                    .port = tcp(1008),
                                    .is_denied = false,
                                    .program = "app"});
  room.world.news.lost = 3;
  room.world.bind(client.pid, tcp(1008));
  room.settle();
  const auto view = room.view();
  CHECK(view.port_summaries()[0].denials == 100);
  CHECK(view.port_summaries()[0].denials_lost == 3);
  CHECK(view.port_denials()[99 % 64].number == 100);
  CHECK(view.port_denials()[99 % 64].pid == 139);
  CHECK(view.port_denials()[99 % 64].port == 1007);
  CHECK(count_of(room.log_text(), "event=port_bind_denied") == 10);
  CHECK(room.state(tcp(1007)) == PortState::free);
  CHECK(room.state(tcp(1008)) == PortState::bound);
  CHECK(room.row(tcp(1008))->pid == client.pid);
  CHECK(room.row(tcp(1008))->client_id == client.id);
}

TEST_CASE("ports.desk has the guard admit members that it cannot know, for as long as they are attached") {
  DeskRoom room;
  room.world.levels[0] = guarded();
  room.desk.look_at_enforcement();
  const auto by_user = room.attach();
  const auto by_real_group = room.attach({.uid = 700, .gids = {5, test::kMemberGid}});
  const auto by_other_group = room.attach({.uid = 700, .gids = {test::kMemberGid, 5}});
  CHECK(room.world.admitted == std::set<std::uint32_t>{by_other_group.pid});
  CHECK_FALSE(room.world.admitted.contains(by_user.pid));
  CHECK_FALSE(room.world.admitted.contains(by_real_group.pid));
  room.kill(by_other_group);
  CHECK(room.world.admitted.empty());
  CHECK(room.view().port_summaries()[0].guard == shm::PortEnforcement::on);
}

TEST_CASE("ports.desk gives no port to a member whom the guard would take for a stranger") {
  DeskRoom room;
  room.world.levels[0] = guarded();
  room.desk.look_at_enforcement();
  room.world.has_broker = false;
  const auto client = room.attach({.uid = 700, .gids = {test::kMemberGid, 5}});
  const auto refused = room.claim(client, test::claim_of(1007));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ECONNREFUSED);
  CHECK(room.state(tcp(1007)) == PortState::free);
  room.world.has_broker = true;
  CHECK(room.claim(client, test::claim_of(1007)));
  CHECK(room.world.admitted == std::set<std::uint32_t>{client.pid});
}

TEST_CASE("ports.desk admits all again and reads the guard's events anew when the broker has put back a guard") {
  DeskRoom room;
  room.world.levels[0] = guarded();
  room.desk.look_at_enforcement();
  const auto client = room.attach({.uid = 700, .gids = {test::kMemberGid, 5}});
  const auto gone = room.attach({.uid = 701, .gids = {test::kMemberGid, 5}});
  room.desk.client_left(gone.id);
  const auto opened = room.world.guard_events_opened;
  // The new one knows nobody.
  room.world.admitted.clear();
  room.settle();
  CHECK(room.world.admitted.empty());
  CHECK(room.world.guard_events_opened == opened);
  room.world.is_enforcement_changed = true;
  SUBCASE("it is there") {
    room.settle();
    CHECK(room.world.admitted == std::set<std::uint32_t>{client.pid});
    CHECK(room.world.guard_events_opened == opened + 1);
    room.kill(client);
    CHECK(room.world.admitted.empty());
  }
  SUBCASE("it could not be had") {
    room.world.levels[0].guard = {.state = shm::PortEnforcement::missing, .text = "no bpffs is mounted"};
    room.settle();
    CHECK(room.view().port_summaries()[0].guard == shm::PortEnforcement::missing);
    CHECK(room.world.admitted.empty());
    CHECK(room.world.guard_events_opened == opened);
  }
  SUBCASE("and by another configuration the guard can know it") {
    room.settle();
    room.desk.change_group(0, test::ebanking(), {.users = {700}, .groups = {}});
    room.desk.look_at_enforcement();
    CHECK(room.world.admitted.empty());
  }
}

TEST_CASE("ports.desk tells of levels that are missing, and of holders who share the port") {
  DeskRoom room;
  engine::broker::PortLevels levels;
  levels.guard = {.state = shm::PortEnforcement::missing, .text = "no bpffs is mounted"};
  levels.holders.state = shm::PortEnforcement::missing;  // of other ports
  room.world.start(2, {.uid = test::kMemberUid, .gids = {}, .program = "tlsmuxd"});
  levels.holder_sockets = {room.world.bind(2, tcp(1005))};
  room.world.levels[0] = levels;
  room.desk.look_at_enforcement();
  CHECK(shm::text_of(room.view().port_summaries()[0].guard_text) == "no bpffs is mounted");
  CHECK(room.view().port_summaries()[0].holder_sockets == 1);
  CHECK(room.log_text().find("no bpffs is mounted") != std::string::npos);
  room.sweep(10);
  CHECK(room.state(tcp(1005)) == PortState::free);
  const auto client = room.attach();
  const auto reply =
      room.claim(client, {.header = {}, .kind = shm::PortClaimKind::number, .protocol = shm::kPortTcp, .port = 1005});
  REQUIRE(reply);
  CHECK(reply->share_port == 1);
}
