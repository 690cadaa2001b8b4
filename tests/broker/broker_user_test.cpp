// Which user the engine is, what it has inherited, and what works without root.

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "tests/broker/broker_process.hpp"

using namespace tlsmux;
using test::BrokerProcess;

namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 3; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) ++count;
  }
  return count;
}

// Says by its exit code what is wrong; 0 only if nothing is.
int check_confinement(const config::Config& config, engine::EngineResources resources) {
  if (::getuid() != test::kNobody || ::geteuid() != test::kNobody) return 20;
  if (::getgid() != test::kNobody || ::setuid(0) == 0 || ::setgid(0) == 0) return 21;
  if (::getgroups(0, nullptr) > 1) return 22;  // nobody's own
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || ::prctl(PR_GET_DUMPABLE) != 0) return 23;
  // Its socket, the log's output twice, the lock of one group; of later engines too.
  if (open_descriptors() != 4) return 24;
  engine::broker::BrokerClient broker(resources.broker_socket.get());
  const auto object = broker.create_group_object({.index = 0}, 4096);
  struct stat status{};
  if (!object || ::fstat(object->writable.get(), &status) != 0) return 25;
  if (status.st_uid != test::kNobody || status.st_gid != 0) return 26;
  // What a user cannot open, the broker opens for it.
  if (::open(config.upstreams[0].tls.key_file.c_str(), O_RDONLY) >= 0) return 27;
  if (!broker.open_file(engine::broker::FileKind::key_file, {})) return 28;
  if (broker.open_file(engine::broker::FileKind::ca_file, {}).error().code != ENOENT) return 29;
  if (resources.restarts == 0) return 99;
  return test::serve_until_told(config, std::move(resources));
}

}  // namespace

TEST_CASE("engine.user is the configured one and has nothing of root's") {
  if (test::skip_without_root("switches users")) return;
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  config.engine.user = "nobody";
  config.engine.confinement = config::Confinement::off;  // the engine here tries what it would be ended for
  config.groups[0].unix_groups = {"root"};
  config.upstreams.resize(1);
  config.upstreams[0].tls.key_file = folder.add("client.key", "a key", 0400);
  BrokerProcess broker(config, check_confinement);
  CHECK(broker.log().wait_for("event=engine_died").find("exit code 99") != std::string::npos);
  const auto engine = broker.engine_pid();
  CHECK(engine > 0);
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("engine.user other than the present one cannot be had without root") {
  if (test::skip_without_root("starts tlsmuxd as another user than the configured one")) return;
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  config.engine.user = "root";
  BrokerProcess broker(config, test::serve_until_told, [] { return test::become_user(test::kNobody); });
  CHECK(broker.wait() == engine::kExitCannotStart);
  CHECK(broker.log().rest().find("/engine/user is root") != std::string::npos);
}

TEST_CASE("engine.broker without root serves and says what it could not do") {
  if (test::skip_without_root("becomes a user without rights")) return;
  const test::TemporaryFolder folder;
  REQUIRE(::chown(folder.path().c_str(), test::kNobody, test::kNobody) == 0);
  auto config = test::broker_config(folder);
  config.groups[0].unix_groups = {"root"};  // nobody is not in it, so the object cannot be given to it
  BrokerProcess broker(config, test::serve_until_told, [] { return test::become_user(test::kNobody); });
  const auto line = broker.log().wait_for("event=privilege_missing what=group_object_owner");
  CHECK(!test::value_in(line, "needs").empty());
  broker.log().wait_for("event=engine_serving");
  CHECK(test::can_connect(config.engine.control_socket));
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(test::residue(config.groups[0].name) == 0);
}
