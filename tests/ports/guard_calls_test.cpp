// Whatever way a program binds, it comes to the guard.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/ports/guard_rig.hpp"
#include "tests/ports/ring_bind.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint16_t kPort = 2000;
constexpr int kUnknown = 255;

sockaddr_in address_of(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

int bind_by_number(std::uint16_t port) {
  const auto address = address_of(port);
  return ::syscall(SYS_bind, make_socket().get(), &address, sizeof address) == 0 ? 0 : errno;
}

int bind_with_ring(std::uint16_t port) {
  const auto address = address_of(port);
  const int error = bind_by_ring(make_socket().get(), reinterpret_cast<const sockaddr&>(address), sizeof address);
  return error < 0 ? kUnknown : error;
}

int bind_multipath(std::uint16_t port) {
  const auto address = address_of(port);
  const shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
  if (!socket) return kUnknown;
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

void check(const GuardRig& rig, int (*bind)(std::uint16_t)) {
  CHECK(rig.as(kMemberIdentity, [&] { return bind(kPort); }) == 0);
  CHECK(rig.as(kStrangerIdentity, [&] { return bind(kPort); }) == EACCES);
  CHECK(rig.as(kStrangerIdentity, [&] { return bind(kPort + 1); }) == 0);
}

bool cannot(const GuardRig& rig, int (*bind)(std::uint16_t), const char* what) {
  if (rig.as(kMemberIdentity, [&] { return bind(kPort); }) != kUnknown) return false;
  skip("this kernel has no " + std::string(what));
  return true;
}

}  // namespace

TEST_CASE("ports.guard judges system calls by number") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), guarding({tcp(kPort)})));
  check(rig, bind_by_number);
}

TEST_CASE("ports.guard judges binds by io_uring") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  if (cannot(rig, bind_with_ring, "bind by io_uring (Linux 6.11)")) return;
  REQUIRE(rig.put(rig.place(), guarding({tcp(kPort)})));
  check(rig, bind_with_ring);
}

TEST_CASE("ports.guard judges multipath TCP as TCP") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  if (cannot(rig, bind_multipath, "multipath TCP")) return;
  REQUIRE(rig.put(rig.place(), guarding({tcp(kPort)})));
  check(rig, bind_multipath);
}

TEST_CASE("ports.guard judges static programs") {
  if (skip_without_guard()) return;
  const std::string program = TLSMUX_STATIC_BIND;
  if (program.empty()) {
    skip("no static program can be built here");
    return;
  }
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), guarding({tcp(kPort)})));
  // Opened before the user changes, who may not look into the build's folder.
  const shm::UniqueFd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(file);
  const auto bind = [&](const Identity& who, std::uint16_t port) {
    return rig.as(who, [&] {
      auto number = std::to_string(port);
      char name[] = "static_bind";
      char* const arguments[] = {name, number.data(), nullptr};
      ::fexecve(file.get(), arguments, environ);
      return kUnknown;
    });
  };
  CHECK(bind(kMemberIdentity, kPort) == 0);
  CHECK(bind(kStrangerIdentity, kPort) == EACCES);
  CHECK(bind(kStrangerIdentity, kPort + 1) == 0);
}

}  // namespace tlsmux::test
