#include "ports/diagnosis/machine_check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "ports/diagnosis/live_groups.hpp"
#include "ports/diagnosis/process_identity.hpp"
#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

constexpr uid_t kMember = 1701;
constexpr gid_t kMemberGroup = 1702;
constexpr Identity kStranger{.uid = 1703, .gid = 1703};

config::GroupSettings group_of(const std::string& name, std::uint16_t from, std::uint16_t to) {
  config::GroupSettings group{
      .name = name, .users = {std::to_string(kMember)}, .unix_groups = {std::to_string(kMemberGroup)}, .memory = {}};
  group.ports.dynamic = {{.from = from, .to = to, .protocols = config::PortProtocols::tcp}};
  return group;
}

config::Config config_of(std::vector<config::GroupSettings> groups) {
  config::Config config;
  config.groups = std::move(groups);
  return config;
}

// A group that seems to be served by a process, as far as files show it.
class ServedGroup {
 public:
  ServedGroup(std::string name, std::uint16_t from, std::uint16_t to, std::uint32_t engine_pid = ::getpid())
      : name_(std::move(name)) {
    const shm::GroupTables tables{.port_rules = 2};
    const auto object = shm::create_group_object(name_, tables.total_bytes()).value();
    memory_ = shm::Mapping::map(object.get(), tables.total_bytes(), shm::Access::read_write).value();
    const auto part =
        shm::GroupPart::format(memory_.bytes(), tables, {.group = name_, .boot_id = {1}, .engine_pid = engine_pid});
    shm::PortConfigurationRow row{};
    row.kind = shm::PortRuleKind::dynamic_range;
    row.from = from;
    row.to = to;
    row.protocols = shm::kPortTcp;
    shm::write_row(part.port_rules()[1], row);
    lock_.reset(::open(lock_path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(lock_);
    struct stat network{};
    REQUIRE(::stat("/proc/thread-self/ns/net", &network) == 0);
    const auto text = std::to_string(engine_pid) + " " + std::to_string(network.st_ino) + "   \n";
    REQUIRE(::write(lock_.get(), text.data(), text.size()) > 0);
    struct flock wanted{};
    wanted.l_type = F_WRLCK;
    wanted.l_whence = SEEK_SET;
    REQUIRE(::fcntl(lock_.get(), F_OFD_SETLK, &wanted) == 0);
  }
  ~ServedGroup() {
    ::unlink(lock_path().c_str());
    shm::remove_group_object(name_);
  }
  ServedGroup(const ServedGroup&) = delete;
  ServedGroup& operator=(const ServedGroup&) = delete;

  void unlock() { lock_.reset(); }
  [[nodiscard]] std::string lock_path() const { return "/dev/shm/" + shm::group_object_name(name_) + ".lock"; }

 private:
  std::string name_;
  shm::Mapping memory_;
  shm::UniqueFd lock_;
};

const LiveGroup* find(const std::vector<LiveGroup>& groups, const std::string& name) {
  const auto found = std::ranges::find(groups, name, &LiveGroup::name);
  return found == groups.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("ports.a process is identified by its real ids and supplementary groups") {
  if (skip_without_root()) return;
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  ChildProcess process([&]() -> int {
    become({.uid = 1701, .gid = 1702, .groups = {1703, 1704}});
    if (::write(ready[1], "x", 1) != 1) return 1;
    while (true) ::pause();
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const auto identity = identify_process(process.pid());
  REQUIRE_MESSAGE(identity.has_value(), identity.error().message);
  CHECK(identity->uid == 1701);
  CHECK(identity->gids == std::vector<gid_t>{1702, 1703, 1704});
  const auto pid = process.pid();
  process.send_signal(SIGKILL);
  CHECK(process.wait() == 128 + SIGKILL);
  CHECK(identify_process(pid).error().code == ESRCH);
  for (const int end : ready) ::close(end);
}

TEST_CASE("ports.groups that are served are found by their locks") {
  const auto name = unique_group();
  CHECK(!server_of(name));
  {
    ServedGroup served(name, 1000, 1009);
    const auto server = server_of(name);
    REQUIRE(server);
    CHECK(server->pid == static_cast<std::uint32_t>(::getpid()));
    CHECK(server->uid == ::geteuid());
    const auto groups = find_live_groups();
    const auto* group = find(groups, name);
    REQUIRE(group != nullptr);
    CHECK(group->engine_pid == static_cast<std::uint32_t>(::getpid()));
    CHECK(group->ports[index_of(Protocol::tcp)].text() == "1000-1009");
    CHECK(group->ports[index_of(Protocol::udp)].empty());
    CHECK(group->is_in_this_network);
    CHECK(group->is_trusted);
    served.unlock();
    CHECK(!server_of(name));
    CHECK(std::ranges::count(find_served_groups(), name) == 0);
    CHECK(find(find_live_groups(), name) == nullptr);
  }
}

TEST_CASE("hostile.group objects that make no sense are passed over") {
  const auto name = unique_group();
  const ServedGroup served(name, 1000, 1009);
  const auto path = "/dev/shm/" + shm::group_object_name(name);
  for (const off_t bytes : {0, 1, 640, 704, 4096}) {
    REQUIRE(::truncate(path.c_str(), bytes) == 0);
    CHECK(find(find_live_groups(), name) == nullptr);
  }
  CHECK(std::ranges::count(find_served_groups(), name) == 1);
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(::symlink("/etc/passwd", path.c_str()) == 0);
  CHECK(find(find_live_groups(), name) == nullptr);
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(find(find_live_groups(), name) == nullptr);
}

TEST_CASE("ports.another engine's ports are an error that names its group and pid") {
  const auto theirs = unique_group();
  const ServedGroup served(theirs, 61'000, 61'009);
  auto config = config_of({group_of(unique_group(), 60'000, 60'999), group_of(unique_group(), 61'005, 61'020)});
  config.groups[0].ports.static_ports = {
      {.port = 61'001, .protocol = config::PortProtocols::udp, .label = {}, .program = {}},
      {.port = 61'002, .protocol = config::PortProtocols::both, .label = {}, .program = {}}};
  const auto errors = check_machine(config).errors;
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].pointer == "/groups/0/ports/static/1");
  CHECK_MESSAGE(errors[0].message.starts_with("61002/tcp belongs to group \"" + theirs + "\" of the engine with pid " +
                                              std::to_string(::getpid())),
                errors[0].message);
  CHECK(errors[1].pointer == "/groups/1/ports/dynamic/0");
  CHECK_MESSAGE(errors[1].message.starts_with("61005-61009/tcp "), errors[1].message);
}

TEST_CASE("ports.one's own engine is no clash, whatever its groups are called now") {
  const auto ours = unique_group();
  const auto also_ours = unique_group();
  const ServedGroup served(ours, 61'100, 61'109);
  const ServedGroup also_served(also_ours, 61'110, 61'119);
  const auto fresh = unique_group();
  // The range goes from one group to another.
  CHECK(check_machine(config_of({group_of(ours, 61'100, 61'119)})).errors.empty());
  CHECK(check_machine(config_of({group_of(fresh, 61'100, 61'119)}), std::vector{ours}).errors.empty());
  CHECK(check_machine(config_of({group_of(fresh, 61'100, 61'119)})).errors.size() == 2);
}

TEST_CASE("hostile.a stranger's tables do not keep an engine from its ports") {
  if (skip_without_root()) return;
  const auto theirs = unique_group();
  const ServedGroup served(theirs, 61'200, 61'209);
  REQUIRE(::chown(served.lock_path().c_str(), kStranger.uid, kStranger.gid) == 0);
  CHECK(check_machine(config_of({group_of(unique_group(), 61'200, 61'209)})).errors.empty());
}

TEST_CASE("ports.an engine of another network namespace is no clash") {
  if (skip_without_network_namespaces()) return;
  const NetworkNamespace network;
  const ServedGroup served(unique_group(), 61'300, 61'309);
  const auto config = config_of({group_of(unique_group(), 61'300, 61'309)});
  CHECK(check_machine(config).errors.size() == 1);
  network.in_thread([&] { CHECK(check_machine(config).errors.empty()); });

  ChildProcess engine([] { return 0; });
  const auto dead = static_cast<std::uint32_t>(engine.pid());
  CHECK(engine.wait() == 0);
  // Before its tlsmuxd has started another engine, too.
  const ServedGroup restarting(unique_group(), 61'310, 61'319, dead);
  const auto clash = config_of({group_of(unique_group(), 61'310, 61'319)});
  CHECK(check_machine(clash).errors.size() == 1);
  network.in_thread([&] { CHECK(check_machine(clash).errors.empty()); });
}

TEST_CASE("ports.who holds a port and is no member is named") {
  if (skip_without_network_namespaces()) return;
  const NetworkNamespace network;
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  const auto serve = [&](std::uint16_t port, const Identity& who) {
    return [&ready, &network, port, who]() -> int {
      network.enter(who);
      const auto socket = listening_socket({}, port);
      if (::write(ready[1], "x", 1) != 1) return 1;
      while (true) ::pause();
    };
  };
  const ChildProcess stranger(serve(11000, kStranger));
  const ChildProcess member(serve(11001, {.uid = kMember, .gid = 1}));
  const ChildProcess by_group(serve(11002, {.uid = 1799, .gid = 1, .groups = {kMemberGroup}}));
  ::close(ready[1]);
  for (int i = 0; i < 3; ++i) {
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
  }
  network.in_thread([&] {
    const auto found = check_machine(config_of({group_of("A", 11000, 11009)}));
    CHECK(found.errors.empty());
    REQUIRE(found.in_use.size() == 1);
    const auto& use = found.in_use.front();
    CHECK(use.port == Port{.protocol = Protocol::tcp, .number = 11000});
    CHECK(use.group == "A");
    CHECK(use.pid == static_cast<std::uint32_t>(stranger.pid()));
    CHECK(use.uid == kStranger.uid);
    CHECK(use.is_listening);
    CHECK_MESSAGE(use.text().starts_with("port 11000/tcp of group A is held by \""), use.text());
  });
  ::close(ready[0]);
}
