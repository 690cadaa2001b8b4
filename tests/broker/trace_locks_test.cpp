#include "engine/broker/trace_locks.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::broker::TraceLocks;

namespace {

struct Place {
  test::TemporaryFolder folder;
  [[nodiscard]] std::string path(const std::string& upstream = "ACQUIRER") const {
    return folder.path() + "/" + upstream + ".trace";
  }
  [[nodiscard]] std::string lock_file() const { return path() + ".lock"; }
};

}  // namespace

TEST_CASE("engine.trace numbers of a file are counted by one tlsmuxd at a time") {
  const Place place;
  std::optional<TraceLocks> first(std::in_place);
  TraceLocks second;
  CHECK(first->take(place.path()));
  CHECK(first->take(place.path()));  // it has it
  const auto refused = second.take(place.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(refused.error().message == place.lock_file() + " is locked by another tlsmuxd (pid " +
                                       std::to_string(::getpid()) + "), which counts these trace numbers");
  CHECK(second.take(place.path("OTHER")));
  struct stat status{};
  REQUIRE(::stat(place.lock_file().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);

  first.reset();
  CHECK_FALSE(std::filesystem::exists(place.lock_file()));
  CHECK(second.take(place.path()));
}

TEST_CASE("engine.a tlsmuxd that is killed leaves a file, and no lock on its trace numbers") {
  const Place place;
  test::ChildProcess killed([&] {
    TraceLocks locks;
    if (!locks.take(place.path())) return 1;
    return ::raise(SIGKILL);
  });
  CHECK(killed.wait() == 128 + SIGKILL);
  CHECK(std::filesystem::exists(place.lock_file()));
  TraceLocks next;
  CHECK(next.take(place.path()));
}

TEST_CASE("hostile.a lock on trace numbers with another name, or of another user, is not written to") {
  const Place place;
  const auto target = place.folder.add("target", "as it was");
  const auto error_of = [&] {
    TraceLocks locks;
    const auto refused = locks.take(place.path());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EACCES);
    return refused.error().message;
  };
  std::filesystem::create_hard_link(target, place.lock_file());
  CHECK(error_of() == place.lock_file() + " has more than one name; type: rm " + place.lock_file());
  std::string text;
  std::getline(std::ifstream(target), text);
  CHECK(text == "as it was");
  std::filesystem::remove(target);
  if (test::skip_without_root("the rest gives the lock's file to another user")) return;
  REQUIRE(::chown(place.lock_file().c_str(), test::kNobody, test::kNobody) == 0);
  CHECK(error_of().contains("uid " + std::to_string(test::kNobody)));
}

TEST_CASE("hostile.a link in the place of the lock on trace numbers is not followed") {
  const Place place;
  const auto target = place.folder.add("target", "as it was");
  std::filesystem::create_symlink(target, place.lock_file());
  TraceLocks locks;
  const auto refused = locks.take(place.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ELOOP);
  std::string text;
  std::getline(std::ifstream(target), text);
  CHECK(text == "as it was");
}
