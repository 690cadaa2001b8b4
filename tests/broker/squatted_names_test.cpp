// What other users put into /dev/shm at the names of a group.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>
#include <utility>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "engine/broker/file_lock.hpp"
#include "engine/broker/group_lock.hpp"
#include "shm/segment.hpp"
#include "shm/system/shared_names.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/support/pem_text.hpp"

using namespace tlsmux;
using engine::broker::GroupLock;
using test::BrokerProcess;

namespace {

namespace fs = std::filesystem;

constexpr uid_t kOther = 65533;

enum class Plant { held_file, leased_file, link, fifo, directory, full_directory };

constexpr std::array kPlants{Plant::held_file, Plant::leased_file, Plant::link,
                             Plant::fifo,      Plant::directory,   Plant::full_directory};

std::string lock_path(const std::string& group) { return shm::path_of_shared(shm::group_object_name(group) + ".lock"); }
std::string object_path(const std::string& group) { return shm::path_of_shared(shm::group_object_name(group)); }

struct Pipe {
  shm::UniqueFd reading;
  shm::UniqueFd writing;

  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reading.reset(ends[0]);
    writing.reset(ends[1]);
  }
  // Once the other end says or closes it.
  [[nodiscard]] bool said_yes() const {
    char byte = '-';
    return ::read(reading.get(), &byte, 1) == 1 && byte == '+';
  }
};

// In the process that plants it. The link leads to `target`. What is open stays so until the process ends.
bool plant(Plant what, const std::string& path, const std::string& target) {
  if (what == Plant::link) return ::symlink(target.c_str(), path.c_str()) == 0;
  if (what == Plant::fifo) return ::mkfifo(path.c_str(), 0666) == 0;
  if (what == Plant::directory) return ::mkdir(path.c_str(), 0777) == 0;
  if (what == Plant::full_directory) {
    return ::mkdir(path.c_str(), 0777) == 0 && ::mkdir((path + "/inner").c_str(), 0777) == 0;
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 || ::write(fd, "1\n", 2) != 2) return false;
  if (what == Plant::leased_file) return ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
  return engine::broker::lock_file(fd) == engine::broker::LockResult::locked;
}

// A process of another user that has planted something, and holds it.
class Stranger {
 public:
  Stranger(Plant what, const std::string& path, const std::string& target, uid_t uid = test::kNobody)
      : process_([&] {
          if (!test::become_user(uid)) return 1;
          std::ignore = ::signal(SIGIO, SIG_IGN);  // somebody opens what is leased
          const char done = plant(what, path, target) ? '+' : '-';
          if (::write(pipe_.writing.get(), &done, 1) != 1) return 2;
          while (true) ::pause();
        }) {
    pipe_.writing.reset();
    REQUIRE(pipe_.said_yes());
  }

 private:
  Pipe pipe_;
  test::ChildProcess process_;
};

// What of this test's lies about: directories that are not empty are moved aside and stay.
struct Sweeper {
  std::string group;
  ~Sweeper() {
    std::error_code ignored;
    fs::remove_all(lock_path(group), ignored);
    fs::remove_all(object_path(group), ignored);
    for (const auto& entry : fs::directory_iterator("/dev/shm", ignored)) {
      const bool is_aside = entry.path().filename().string().starts_with("tlsmux-aside.");
      if (is_aside && fs::exists(entry.path() / "inner", ignored)) fs::remove_all(entry.path(), ignored);
    }
  }
};

// The names of a group of which another user has both.
struct TakenNames {
  TakenNames(Plant what, const std::string& target, uid_t uid = test::kNobody)
      : at_the_lock(what, lock_path(group), target, uid), at_the_object(what, object_path(group), target, uid) {}

  std::string group = test::unique_group();
  Sweeper sweeper{group};
  Stranger at_the_lock;
  Stranger at_the_object;
};

bool is_own_file(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid();
}

std::string content_of(const std::string& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  return text;
}

}  // namespace

TEST_CASE("hostile.broker as root takes the names of a group back, whatever another user has put there and holds") {
  if (test::skip_without_root("makes files of another user")) return;
  const test::TemporaryFolder folder;
  const auto target = folder.add("target", "as it was");
  for (const auto what : kPlants) {
    CAPTURE(static_cast<int>(what));
    const TakenNames taken(what, target, test::kNobody);
    const auto& group = taken.group;
    {
      const auto lock = GroupLock::take(group);
      REQUIRE_MESSAGE(lock, lock.error());
      CHECK(lock->displaced().find("of uid 65534") != std::string::npos);
      CHECK(is_own_file(lock_path(group)));
      // From now on it is as with any other.
      const auto second = GroupLock::take(group);
      REQUIRE(!second);
      CHECK(second.error().starts_with("group " + group + " is served by a live engine (pid " +
                                       std::to_string(::getpid()) + "); stop its tlsmuxd"));
      const auto object = shm::create_group_object(group, 4096);
      REQUIRE_MESSAGE(object, object.error().message);
      CHECK(is_own_file(object_path(group)));
      CHECK(engine::broker::is_still_named(object_path(group), object->get()));
    }
    CHECK(!fs::exists(lock_path(group)));
    CHECK(content_of(target) == "as it was");
  }
}

TEST_CASE("hostile.broker without root says whose the name of a group is") {
  if (test::skip_without_root("makes files of two other users")) return;
  const test::TemporaryFolder folder;
  const auto target = folder.add("target", "as it was");
  for (const auto what : kPlants) {
    CAPTURE(static_cast<int>(what));
    const TakenNames taken(what, target, kOther);
    const auto& group = taken.group;
    test::ChildProcess broker([&] {
      if (!test::become_user(test::kNobody)) return 1;
      const auto lock = GroupLock::take(group);
      if (lock || lock.error().find("belongs to uid 65533") == std::string::npos) return 2;
      if (lock.error().find("rm -rf " + lock_path(group)) == std::string::npos) return 3;
      const auto object = shm::create_group_object(group, 4096);
      return !object && object.error().message.find("of uid 65533") != std::string::npos ? 0 : 4;
    });
    CHECK(broker.wait() == 0);
    CHECK(test::residue(group) == 2);  // what was there, and nothing aside
  }
}

TEST_CASE("engine.broker names a directory of its own user in the place of a group's, and leaves it") {
  const auto group = test::unique_group();
  const Sweeper sweeper{group};
  REQUIRE(::mkdir(lock_path(group).c_str(), 0755) == 0);
  REQUIRE(::mkdir(object_path(group).c_str(), 0755) == 0);
  const auto lock = GroupLock::take(group);
  REQUIRE(!lock);
  CHECK(lock.error().find("a directory of uid " + std::to_string(::geteuid())) != std::string::npos);
  const auto object = shm::create_group_object(group, 4096);
  REQUIRE(!object);
  CHECK(object.error().message.find("a directory of uid " + std::to_string(::geteuid())) != std::string::npos);
  CHECK(fs::is_directory(lock_path(group)));
  CHECK(fs::is_directory(object_path(group)));
}

TEST_CASE("engine.group lock of another user's live engine gives way to root, whose second one does not") {
  if (test::skip_without_root("takes a group as another user")) return;
  const auto group = test::unique_group();
  Pipe taken;
  Pipe order;
  test::ChildProcess users_engine([&] {
    order.writing.reset();
    if (!test::become_user(test::kNobody)) return 1;
    const auto lock = GroupLock::take(group);
    if (!lock || GroupLock::take(group)) return 2;
    if (::write(taken.writing.get(), "+", 1) != 1) return 3;
    return order.said_yes() ? 4 : 0;
  });
  taken.writing.reset();
  REQUIRE(taken.said_yes());
  const auto roots = GroupLock::take(group);
  REQUIRE(roots);
  CHECK(roots->displaced() == "a file of uid 65534");
  CHECK(!GroupLock::take(group));
  // Its end takes nothing of root's away.
  order.writing.reset();
  CHECK(users_engine.wait() == 0);
  CHECK(is_own_file(lock_path(group)));
  CHECK(!GroupLock::take(group));
}

TEST_CASE("engine.broker starts, and adds a group, although another user holds the groups' locks") {
  if (test::skip_without_root("makes files of another user")) return;
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  const auto present = config.groups[0].name;
  const auto added = test::unique_group();
  const Sweeper sweepers[] = {{present}, {added}};
  const auto group = [](const std::string& name) { return R"({"name": ")" + name + R"(", "users": ["root"]})"; };
  const auto path = folder.add(
      "config.json", R"({"engine": {"control_socket": ")" + config.engine.control_socket + R"("}, "groups": [)" +
                         group(present) + "," + group(added) + R"(], "upstreams": [{"name": "host", "groups": [")" +
                         added + R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" +
                         folder.add("ca.pem", test::kPemText) + R"("}}]})");
  const Stranger strangers[] = {{Plant::held_file, lock_path(present), ""},
                                {Plant::full_directory, object_path(present), ""},
                                {Plant::held_file, lock_path(added), ""},
                                {Plant::link, object_path(added), "/dev/null"}};
  const auto engine_main = [](const config::Config& settings, engine::EngineResources resources) {
    engine::broker::BrokerClient client(resources.broker_socket.get());
    const auto candidate = client.load_candidate();
    if (!candidate || candidate->is_refused) return 20;
    if (!client.create_group_object({.index = 1, .in_candidate = true}, 4096)) return 21;
    if (!client.adopt_candidate()) return 22;
    return test::serve_until_told(settings, std::move(resources));
  };
  BrokerProcess broker(config, engine_main, [] { return true; }, path);
  for (const auto& name : {present, added}) {
    const auto line = broker.log().wait_for("event=group_lock_taken_over");
    CHECK(test::value_in(line, "group") == name);
    CHECK(test::value_in(line, "was") == "a file of uid 65534");
  }
  broker.log().wait_for("event=engine_serving");
  for (const auto& name : {present, added}) {
    CHECK(is_own_file(lock_path(name)));
    CHECK(is_own_file(object_path(name)));
  }
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(test::residue(present) + test::residue(added) == 0);
}
