#include "engine/broker/group_lock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::broker::GroupLock;

namespace {

std::string name_of_lock(const std::string& group) { return "/tlsmux." + group + ".lock"; }
std::string path_of_lock(const std::string& group) { return "/dev/shm" + name_of_lock(group); }

}  // namespace

TEST_CASE("engine.group lock keeps a second engine out and leaves no file") {
  const auto group = test::unique_group();
  {
    const auto first = GroupLock::take(group);
    REQUIRE(first);
    first->name_holder(4711);
    const auto second = GroupLock::take(group);
    REQUIRE(!second);
    CHECK(second.error() == "group " + group +
                                " is served by a live engine (pid 4711); stop its tlsmuxd, or take the group out of "
                                "one of the two configurations");
    struct stat status{};
    REQUIRE(::stat(path_of_lock(group).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }
  CHECK(!std::filesystem::exists(path_of_lock(group)));
  CHECK(GroupLock::take(group));
}

TEST_CASE("engine.group lock lives on in a child that inherited it") {
  const auto group = test::unique_group();
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  shm::UniqueFd reading(ends[0]);
  shm::UniqueFd writing(ends[1]);
  // The one that took it is killed, as a broker may be; its own child, the engine, still holds the descriptor.
  std::array<int, 2> pids{};
  REQUIRE(::pipe2(pids.data(), O_CLOEXEC) == 0);
  shm::UniqueFd pid_reading(pids[0]);
  shm::UniqueFd pid_writing(pids[1]);
  test::ChildProcess taker([&] {
    writing.reset();
    const auto lock = GroupLock::take(group);
    if (!lock) return 1;
    const pid_t heir = ::fork();
    if (heir == 0) {
      char byte = 0;
      [[maybe_unused]] const auto ended = ::read(reading.get(), &byte, 1);
      ::_exit(0);
    }
    [[maybe_unused]] const auto told = ::write(pid_writing.get(), &heir, sizeof heir);
    ::kill(::getpid(), SIGKILL);
    return 1;
  });
  pid_t heir = 0;
  REQUIRE(::read(pid_reading.get(), &heir, sizeof heir) == sizeof heir);
  CHECK(taker.wait() == 128 + SIGKILL);
  CHECK(!GroupLock::take(group));
  writing.reset();
  CHECK(test::wait_for_end(heir));
  // The file was left, and is taken over.
  CHECK(std::filesystem::exists(path_of_lock(group)));
  CHECK(GroupLock::take(group));
  CHECK(!std::filesystem::exists(path_of_lock(group)));
}

TEST_CASE("engine.group lock of another user is an error that says whose it is") {
  if (test::skip_without_root("makes files of another user")) return;
  const auto group = test::unique_group();
  const shm::UniqueFd squatted(::shm_open(name_of_lock(group).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  REQUIRE(squatted);
  test::ChildProcess stranger([&] {
    if (!test::become_user(test::kNobody)) return 1;
    const auto lock = GroupLock::take(group);
    if (lock) return 2;
    return lock.error().find("belongs to uid 0") != std::string::npos ? 0 : 3;
  });
  CHECK(stranger.wait() == 0);
  ::shm_unlink(name_of_lock(group).c_str());
}

TEST_CASE("engine.group lock file of another user is replaced by root if nobody holds it") {
  if (test::skip_without_root("makes files of another user")) return;
  const auto group = test::unique_group();
  const shm::UniqueFd squatted(::shm_open(name_of_lock(group).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  REQUIRE(::fchown(squatted.get(), test::kNobody, test::kNobody) == 0);
  const auto lock = GroupLock::take(group);
  REQUIRE(lock);
  struct stat status{};
  REQUIRE(::stat(path_of_lock(group).c_str(), &status) == 0);
  CHECK(status.st_uid == 0);
}

TEST_CASE("engine.group locks are taken all or none") {
  const auto free_group = test::unique_group();
  const auto busy_group = test::unique_group();
  const auto held = GroupLock::take(busy_group);
  REQUIRE(held);
  config::GroupSettings one;
  one.name = free_group;
  config::GroupSettings two;
  two.name = busy_group;
  const auto locks = engine::broker::lock_groups({one, two});
  REQUIRE(!locks);
  REQUIRE(locks.error().size() == 1);
  CHECK(locks.error()[0].find(busy_group) != std::string::npos);
  CHECK(!std::filesystem::exists(path_of_lock(free_group)));
}

TEST_CASE("engine.group lock that is given up is free although another process holds its descriptor") {
  const auto group = test::unique_group();
  auto lock = GroupLock::take(group);
  REQUIRE(lock);
  const shm::UniqueFd engines_copy(::fcntl(lock->descriptor(), F_DUPFD_CLOEXEC, 3));
  CHECK(!GroupLock::take(group));
  lock->unlock();
  CHECK(!std::filesystem::exists(path_of_lock(group)));
  CHECK(GroupLock::take(group));
  lock->unlock();  // nothing is left to do
}
