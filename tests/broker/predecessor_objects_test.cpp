// What of one engine is handed to the next.

#include "engine/broker/predecessor_objects.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/broker/port_desk.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using engine::broker::BrokerClient;

namespace {

// Its tables bear the group's name. Of its ports, which are claimed, one has a label.
shm::UniqueFd leave_object(const std::string& group, std::uint16_t ports = 0) {
  const shm::GroupTables tables{.ports = ports};
  const auto bytes = tables.total_bytes();
  auto object = shm::create_group_object(group, bytes).value();
  auto memory = shm::Mapping::map(object.get(), bytes, shm::Access::read_write).value();
  const auto part = shm::GroupPart::format(memory.bytes(), tables, {.group = group});
  for (std::uint16_t i = 0; i < ports; ++i) {
    shm::PortRow row{};
    row.state = shm::PortState::claimed;
    row.port = static_cast<std::uint16_t>(kFirstPortOfDesk + i);
    row.protocol = shm::kPortTcp;
    if (i == 0) shm::set_text(row.label, "web");
    shm::write_row(part.ports()[i], row);
  }
  return object;
}

ino_t inode_of(int fd) {
  struct stat status{};
  REQUIRE(::fstat(fd, &status) == 0);
  return status.st_ino;
}

struct RemoveObject {
  std::string group;
  ~RemoveObject() { shm::remove_group_object(group); }
};

}  // namespace

TEST_CASE("engine.broker hands on what an engine that died has left, until the next one serves") {
  const auto name = unique_group();
  const RemoveObject cleanup{name};
  PortDesk desk(group_with_ports(name, {}));
  const auto make = [&](BrokerClient& client) {
    const auto object = client.create_group_object({.index = 0}, 8192);
    REQUIRE(object);
    return inode_of(object->readable.get());
  };
  const auto predecessor = [](BrokerClient& client) -> ino_t {
    const auto fd = client.open_predecessor({.index = 0});
    REQUIRE(fd);
    if (!*fd) return 0;
    CHECK((::fcntl((*fd)->get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
    return inode_of((*fd)->get());
  };
  ino_t first = 0;
  desk.serve([&](BrokerClient& client) {
    CHECK(predecessor(client) == 0);
    first = make(client);
    CHECK(predecessor(client) == 0);
    CHECK(client.report_serving());
  });
  desk.predecessors.engine_died();
  desk.serve([&](BrokerClient& client) {
    CHECK(predecessor(client) == first);
    CHECK(make(client) != first);
    CHECK(predecessor(client) == first);
  });
  // It died before it served: the one before it knows more.
  desk.predecessors.engine_died();
  desk.serve([&](BrokerClient& client) {
    CHECK(predecessor(client) == first);
    const auto second = make(client);
    CHECK(client.report_serving());
    CHECK(predecessor(client) == 0);
    CHECK(second != first);
  });
}

TEST_CASE("engine.broker keeps the tables of ports when it stops, for the next engine until that serves") {
  const auto name = unique_group();
  const RemoveObject cleanup{name};
  PortDesk desk(group_with_ports(name, {}));
  const engine::broker::PortTableStore store(desk.folder.path(), "/run/tlsmux/control.sock", desk.log);
  const auto bytes_now = [&] {
    const auto fd = store.load(name);
    struct stat status{};
    return fd && ::fstat(fd.get(), &status) == 0 ? status.st_size : 0;
  };
  {
    engine::broker::PredecessorObjects before(::geteuid(), &store);
    CHECK(before.find(name) < 0);
    before.made(name, leave_object(name, 300).get());
    before.engine_serves();
    before.engine_died();
    shm::remove_group_object(name);
    before.keep_all(desk.config.groups);
  }
  const auto bytes = bytes_now();
  CHECK(bytes > 300 * 256);
  const auto find = [](engine::broker::PredecessorObjects& objects, const std::string& group) {
    struct stat status{};
    const int fd = objects.find(group);
    return fd >= 0 && ::fstat(fd, &status) == 0 ? status.st_size : 0;
  };
  {
    engine::broker::PredecessorObjects next(::geteuid(), &store);
    CHECK(find(next, name) == bytes);
    next.engine_died();  // before it served
    CHECK(find(next, name) == bytes);
    next.keep_all(desk.config.groups);
    CHECK(bytes_now() == bytes);
    next.engine_serves();
    CHECK(find(next, name) == 0);
    // Whatever kills the machine from now on: one row bears a label.
    CHECK(bytes_now() == 4096);
  }
  {
    // What a tlsmuxd that was killed has left is newer than any file.
    std::ignore = leave_object(name, 500);
    engine::broker::PredecessorObjects next(::geteuid(), &store);
    CHECK(find(next, name) > 500 * 256);
    next.keep_all(desk.config.groups);
    CHECK(bytes_now() > 500 * 256);
  }
  {
    // Of a group that a refresh takes away nothing is left.
    engine::broker::PredecessorObjects next(::geteuid(), &store);
    CHECK(find(next, name) > 0);
    shm::remove_group_object(name);
    next.forget_others({});
    CHECK(find(next, name) == 0);
    CHECK(!std::filesystem::exists(store.path_of(name)));
  }
}

TEST_CASE("hostile.broker takes for a dead engine's object what can be no other's only") {
  const auto name = unique_group();
  const RemoveObject cleanup{name};
  const auto path = "/dev/shm/" + shm::group_object_name(name);
  const auto is_found = [&] {
    PortDesk desk(group_with_ports(name, {}));
    bool found = false;
    desk.serve([&](BrokerClient& client) { found = client.open_predecessor({.index = 0}).value().has_value(); });
    return found;
  };
  CHECK(!is_found());
  const auto object = leave_object(name);
  CHECK(is_found());
  {
    // Its name is taken by the new engine's.
    PortDesk desk(group_with_ports(name, {}));
    desk.serve([&](BrokerClient& client) {
      CHECK(client.create_group_object({.index = 0}, 8192));
      const auto left = client.open_predecessor({.index = 0}).value();
      REQUIRE(left);
      CHECK(inode_of(left->get()) == inode_of(object.get()));
    });
  }
  std::ignore = leave_object(name);
  for (const mode_t mode : {0660, 0642}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(!is_found());
  }
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  CHECK(is_found());
  REQUIRE(::truncate(path.c_str(), 100) == 0);
  CHECK(!is_found());
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  CHECK(!is_found());

  const auto other = unique_group();
  const RemoveObject other_cleanup{other};
  std::ignore = leave_object(other);
  const auto other_path = "/dev/shm/" + shm::group_object_name(other);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(other_path, path);
  CHECK(!is_found());
  std::filesystem::remove(path);
  std::filesystem::rename(other_path, path);  // it names another group
  CHECK(!is_found());
  if (test::skip_without_root("makes files of another user")) return;
  std::ignore = leave_object(name);
  REQUIRE(::chown(path.c_str(), kStranger, kStranger) == 0);
  CHECK(!is_found());
}
