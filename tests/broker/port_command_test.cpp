// `tlsmux ports apply` and `unpin`, as an administrator and the machine's start run them.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <tuple>

#include <doctest/doctest.h>

#include "config/config_file.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/support/pem_text.hpp"
#include "tests/system/command.hpp"

using namespace tlsmux;
using namespace tlsmux::test;

namespace {

constexpr const char* kSysctl = "net/ipv4/ip_local_reserved_ports";

bool says(const CommandResult& result, std::string_view words) { return result.text.find(words) != std::string::npos; }

struct Scene {
  explicit Scene(const char* parent = "/dev/shm") : folder(parent) {}

  GuardRig rig;
  TemporaryFolder folder;
  std::string group = unique_group();
  std::string config = folder.add("config.json", text_of(rig.place().bpf_directory));

  // Ten dynamic ports from the first on, and a static one 500 above it.
  [[nodiscard]] std::string text_of(const std::string& bpf_directory, const std::string& socket = "control.sock",
                                    int first_port = 12'000) const {
    return R"({"engine": {"control_socket": ")" + folder.path(socket) +
           R"(", "drain_timeout_ms": 100, "port_guard": {"bpf_directory": ")" + bpf_directory + R"(", "cgroup": ")" +
           rig.cgroup() + R"("}}, "groups": [{"name": ")" + group + R"(", "users": [")" + std::to_string(kMember) +
           R"("], "ports": {"static": [{"port": )" + std::to_string(first_port + 500) +
           R"(, "protocol": "tcp", "label": "web"}], "dynamic": [{"from": )" + std::to_string(first_port) +
           R"(, "to": )" + std::to_string(first_port + 9) +
           R"(}], "enforcement": {"reservation": true, "guard": true}}}],
           "upstreams": [{"name": "host", "groups": [")" +
           group + R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" +
           folder.path("ca.pem") + R"("}}]})";
  }
  [[nodiscard]] std::string list() const { return rig.network().sysctl(kSysctl); }
  [[nodiscard]] int bind_of_stranger(std::uint16_t port = 12'000) const { return rig.bind(kStrangerIdentity, port); }
  [[nodiscard]] CommandResult run(const std::string& arguments) const {
    CommandResult result;
    rig.network().in_thread([&] { result = run_tlsmux("ports " + arguments); });
    return result;
  }
  // Where no group of this machine is to be seen: other tests have engines at the same time.
  [[nodiscard]] CommandResult run_alone(const std::string& arguments) const {
    CommandResult result;
    rig.network().in_thread([&] {
      REQUIRE(::unshare(CLONE_NEWNS) == 0);
      REQUIRE(::mount("tmpfs", "/dev/shm", "tmpfs", 0, nullptr) == 0);
      result = run_tlsmux("ports " + arguments);
    });
    return result;
  }
};

}  // namespace

TEST_CASE("ports.apply puts reservation and guard in place with no engine, and unpin takes them away") {
  if (skip_without_guard()) return;
  const Scene scene;
  std::ignore = scene.folder.add("ca.pem", test::kPemText);
  scene.rig.network().set_sysctl(kSysctl, "80");
  const auto applied = scene.run("apply " + scene.config);
  CHECK_MESSAGE(applied.exit_code == 0, applied.text);
  CHECK_MESSAGE(says(applied, scene.group + "   11   10  on           on     off"), applied.text);
  CHECK(scene.list() == "80,12000-12009,12500");
  CHECK(scene.bind_of_stranger() == EACCES);
  CHECK(scene.run("apply " + scene.config).exit_code == 0);
  {
    const auto config = config::load(scene.config);
    REQUIRE(config);
    BrokerProcess broker(*config, serve_until_told, [&] {
      scene.rig.network().enter();
      return true;
    });
    broker.log().wait_for("event=engine_serving");
    const auto again = scene.run("apply " + scene.config);
    CHECK(again.exit_code == 1);
    CHECK_MESSAGE(says(again, "is served by a live engine"), again.text);
    for (const auto& arguments : {scene.config, "--control-socket " + scene.folder.path("control.sock")}) {
      const auto refused = scene.run("unpin " + arguments);
      CHECK(refused.exit_code == 1);
      CHECK_MESSAGE(says(refused, "stop it first"), refused.text);
    }
    CHECK(scene.bind_of_stranger() == EACCES);
    CHECK(broker.stop() == engine::kExitClean);
  }
  CHECK(scene.bind_of_stranger() == EACCES);
  // The socket is enough to find it, wherever the configuration has put it.
  const auto removed = scene.run("unpin --control-socket " + scene.folder.path("control.sock"));
  CHECK_MESSAGE(removed.exit_code == 0, removed.text);
  CHECK_MESSAGE(says(removed, "guard taken away, reservation taken away: 12000-12009,12500"), removed.text);
  CHECK(scene.list() == "80");
  CHECK(scene.bind_of_stranger() == 0);
  CHECK(says(scene.run("unpin " + scene.config), "guard not there, reservation not there"));
  CHECK(scene.rig.pins().empty());
}

TEST_CASE("ports.unpin --all takes away what every engine has pinned, and nothing while a group is served") {
  if (skip_without_guard()) return;
  const Scene scene("/tmp");
  std::ignore = scene.folder.add("ca.pem", test::kPemText);
  const auto bpf_directory = scene.rig.place().bpf_directory;
  const auto second = scene.folder.add("second.json", scene.text_of(bpf_directory, "second.sock", 12'100));
  for (const auto& config : {scene.config, second}) {
    const auto applied = scene.run("apply " + config);
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.text);
  }
  CHECK(scene.list() == "12000-12009,12100-12109,12500,12600");
  {
    const auto config = config::load(scene.config);
    REQUIRE(config);
    auto other = *config;
    other.groups[0].name = unique_group();
    other.upstreams[0].groups = {other.groups[0].name};
    other.engine.control_socket = scene.folder.path("third.sock");
    other.groups[0].ports = {};
    BrokerProcess broker(other, serve_until_told);
    broker.log().wait_for("event=engine_serving");
    const auto refused = scene.run("unpin --all " + second);
    CHECK(refused.exit_code == 1);
    CHECK_MESSAGE(says(refused, "is served by a live engine (pid "), refused.text);
    CHECK(broker.stop() == engine::kExitClean);
  }
  CHECK(scene.bind_of_stranger(12'000) == EACCES);
  CHECK(scene.bind_of_stranger(12'100) == EACCES);
  const auto removed = scene.run_alone("unpin --all " + second);
  CHECK_MESSAGE(removed.exit_code == 0, removed.text);
  CHECK_MESSAGE(says(removed, "guard taken away, reservation taken away: 12000-12009,12500\n"), removed.text);
  CHECK_MESSAGE(says(removed, "guard taken away, reservation taken away: 12100-12109,12600\n"), removed.text);
  CHECK(scene.list().empty());
  CHECK(scene.bind_of_stranger(12'000) == 0);
  CHECK(scene.bind_of_stranger(12'100) == 0);
  CHECK(scene.rig.pins().empty());
  CHECK(scene.run_alone("unpin --all " + second).text == "nothing is pinned here\n");
}

TEST_CASE("ports.apply tells whose lock it is that makes a group look served") {
  if (skip_without_guard()) return;
  const Scene scene;
  std::ignore = scene.folder.add("ca.pem", test::kPemText);
  const auto path = "/dev/shm/" + shm::group_object_name(scene.group) + ".lock";
  const shm::UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  REQUIRE(lock);
  REQUIRE(::fchown(lock.get(), kStrangerIdentity.uid, kStrangerIdentity.gid) == 0);
  struct flock wanted{};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  REQUIRE(::fcntl(lock.get(), F_OFD_SETLK, &wanted) == 0);
  const auto refused = scene.run("apply " + scene.config);
  REQUIRE(::unlink(path.c_str()) == 0);
  CHECK(refused.exit_code == 1);
  const auto advice = "served by a live engine of user " + std::to_string(kStrangerIdentity.uid) +
                      " (if that user runs none, remove " + path + ")";
  CHECK_MESSAGE(says(refused, advice), refused.text);
  CHECK(scene.run("apply " + scene.config).exit_code == 0);
  CHECK(scene.run("unpin " + scene.config).exit_code == 0);
}

TEST_CASE("ports.apply says what is missing, and the other level holds") {
  if (skip_without_guard()) return;
  const Scene scene;
  std::ignore = scene.folder.add("ca.pem", test::kPemText);
  const auto elsewhere = scene.folder.add("elsewhere.json", scene.text_of(scene.folder.path()));
  const auto applied = scene.run("apply " + elsewhere);
  CHECK(applied.exit_code == 1);
  CHECK_MESSAGE(says(applied, "on           missing"), applied.text);
  CHECK_MESSAGE(says(applied, "no bpffs is mounted at " + scene.folder.path()), applied.text);
  CHECK(scene.list() == "12000-12009,12500");
  CHECK(scene.run("unpin " + elsewhere).exit_code == 0);
  CHECK(scene.list().empty());

  const auto broken = scene.run("apply " + scene.folder.add("broken.json", "{"));
  CHECK(broken.exit_code == 1);
  CHECK_MESSAGE(says(broken, "broken.json:1:"), broken.text);
}
