// Whose a connection's end is.

#include <unistd.h>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "ports/diagnosis/connection_lookup.hpp"
#include "tests/redirect/redirect_rig.hpp"
#include "tests/wrapper/loopback_listener.hpp"

using namespace tlsmux;

TEST_CASE("wrapper.the kernel says whose a connection is") {
  const test::LoopbackListener listener;
  const auto there = engine::wrapper::loopback(AF_INET, listener.port());
  auto lookup = ports::ConnectionLookup::open();
  REQUIRE(lookup);
  test::ProgramSocket socket;
  SUBCASE("not of one that is not connected, where the kernel would tell of the listener") {
    CHECK(lookup->owner(socket.local(), there).value() == std::nullopt);
    CHECK(lookup->owner(there, socket.local()).value() == std::nullopt);
  }
  SUBCASE("of one that is") {
    REQUIRE(socket.connect(listener.port()));
    const auto owner = lookup->owner(socket.local(), there).value();
    REQUIRE(owner);
    CHECK(owner->inode == socket.inode());
    CHECK(owner->uid == ::geteuid());
  }
  SUBCASE("not of another connection from the same port") {
    REQUIRE(socket.connect(listener.port()));
    auto elsewhere = there;
    ++elsewhere.port;
    CHECK(lookup->owner(socket.local(), elsewhere).value() == std::nullopt);
    auto from_elsewhere = socket.local();
    from_elsewhere.address[15] = 2;
    CHECK(lookup->owner(from_elsewhere, there).value() == std::nullopt);
  }
  SUBCASE("the other end has another") {
    REQUIRE(socket.connect(listener.port()));
    const auto accepted = listener.accept();
    const auto owner = lookup->owner(there, socket.local()).value();
    REQUIRE(owner);
    CHECK(owner->inode != socket.inode());
  }
  SUBCASE("nor of addresses of two families") {
    CHECK(lookup->owner(engine::wrapper::loopback(AF_INET6, 1), there).value() == std::nullopt);
  }
}
