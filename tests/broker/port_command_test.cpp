// `tlsmux ports apply` and `unpin`, as an administrator and the machine's start run them.

#include <fcntl.h>
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
  GuardRig rig;
  TemporaryFolder folder{"/dev/shm"};
  std::string group = unique_group();
  std::string config = folder.add("config.json", text_of(rig.place().bpf_directory));

  [[nodiscard]] std::string text_of(const std::string& bpf_directory) const {
    return R"({"engine": {"control_socket": ")" + folder.path("control.sock") +
           R"(", "drain_timeout_ms": 100, "port_guard": {"bpf_directory": ")" + bpf_directory + R"(", "cgroup": ")" +
           rig.cgroup() + R"("}}, "groups": [{"name": ")" + group + R"(", "users": [")" + std::to_string(kMember) +
           R"("], "ports": {"static": [{"port": 12500, "protocol": "tcp", "label": "web"}],
           "dynamic": [{"from": 12000, "to": 12009}], "enforcement": {"reservation": true, "guard": true}}}],
           "upstreams": [{"name": "host", "groups": [")" +
           group + R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" +
           folder.path("ca.pem") + R"("}}]})";
  }
  [[nodiscard]] std::string list() const { return rig.network().sysctl(kSysctl); }
  [[nodiscard]] int bind_of_stranger() const { return rig.bind(kStrangerIdentity, 12'000); }
  [[nodiscard]] CommandResult run(const std::string& arguments) const {
    CommandResult result;
    rig.network().in_thread([&] { result = run_tlsmux("ports " + arguments); });
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
