#include "engine/broker/control_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::broker::ControlListener;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode;
}

// A socket file as a killed daemon leaves it.
void leave_stale_socket(const std::string& path) {
  const shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

}  // namespace

TEST_CASE("engine.control socket is open to all and goes with its owner") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/made/control.sock";
  {
    const auto umask_before = ::umask(077);
    const auto listener = ControlListener::create(path);
    ::umask(umask_before);
    REQUIRE(listener);
    CHECK(mode_of(path) == (S_IFSOCK | 0666));
    CHECK(mode_of(folder.path() + "/made") == (S_IFDIR | 0755));
  }
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("engine.control socket that nobody answers at is replaced") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/control.sock";
  leave_stale_socket(path);
  const auto listener = ControlListener::create(path);
  CHECK(listener);
}

TEST_CASE("engine.control socket of a live daemon is left alone") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/control.sock";
  const auto first = ControlListener::create(path);
  REQUIRE(first);
  const auto second = ControlListener::create(path);
  REQUIRE(!second);
  CHECK(second.error().find("live") != std::string::npos);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("engine.control socket does not replace what is not a socket") {
  const test::TemporaryFolder folder;
  const auto path = folder.add("control.sock", "precious");
  const auto listener = ControlListener::create(path);
  REQUIRE(!listener);
  CHECK(listener.error().find("not a socket") != std::string::npos);
  CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("engine.control socket is not removed by one that it does not belong to any more") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/control.sock";
  {
    const auto listener = ControlListener::create(path);
    REQUIRE(listener);
    REQUIRE(::unlink(path.c_str()) == 0);
    leave_stale_socket(path);
  }
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("engine.control socket in a folder that cannot be made is an error that names it") {
  const test::TemporaryFolder folder;
  const auto listener = ControlListener::create(folder.path() + "/a/b/control.sock");
  REQUIRE(!listener);
  CHECK(listener.error().find("/a/b") != std::string::npos);
}
