// Ports that their owner could not bind: whose socket is there, and where the label goes.

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "tests/ports/book_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using shm::PortState;

TEST_CASE("ports.sweep: what passed for the owner's socket by its user is looked into when the owner cannot bind") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  rig.sweep({BookRig::socket(1000, 9)});  // of another process of the same user
  CHECK(rig.state(1000) == PortState::bound);
  CHECK(rig.book.release(tcp(1000), process(1), true, rig.now_ns));
  rig.sweep({BookRig::socket(1000, 9)});
  CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
  auto held = BookRig::socket(1000, 9);
  held.owner = process(2);
  SUBCASE("it is a stranger's") {
    rig.sweep({held});
    CHECK(rig.state(1000) == PortState::external);
  }
  SUBCASE("it is a member's") {
    held.is_member = true;
    rig.sweep({held});
    CHECK(rig.state(1000) == PortState::bound);
    CHECK(rig.owner_of(1000) == 2);
  }
  SUBCASE("nobody knows whose it is") { rig.sweep({BookRig::socket(1000, 9)}); }
  CHECK(rig.dynamic(1, "BACK") == 1001);
  CHECK(rig.book.find(tcp(1000))->label.empty());
  CHECK(rig.book.find(tcp(1001))->label == "BACK");
  CHECK(rig.dynamic(1, "BACK") == 1001);
}

TEST_CASE("ports.sweep: a doubted port is its owner's until it is known to be another's") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  CHECK_FALSE(rig.book.doubt(tcp(1000), process(2)));
  CHECK(rig.book.doubt(tcp(1000), process(1)));
  auto held = BookRig::socket(1000, 9);
  std::uint32_t holder = 0;
  SUBCASE("nobody is there") {}
  SUBCASE("it is its own") { holder = 1; }
  SUBCASE("it is another's") { holder = 2; }
  if (holder == 0) {
    rig.sweep();
  } else {
    rig.sweep({held});
    CHECK(rig.owner_of(1000) == 1);
    CHECK(rig.book.inodes_without_owner() == std::vector<std::uint64_t>{9});
    held.owner = process(holder);
    rig.sweep({held});
  }
  CHECK(rig.state(1000) == (holder == 0 ? PortState::claimed : holder == 1 ? PortState::bound : PortState::external));
  CHECK(rig.dynamic(1, "BACK") == (holder == 2 ? 1001 : 1000));
}

TEST_CASE("ports.sweep: a label stays where its owner's own socket is in the way") {
  BookRig rig;
  CHECK(rig.dynamic(1, "BACK") == 1000);
  rig.sweep({BookRig::socket(1000, 9)});
  auto held = BookRig::socket(1000, 9);
  held.owner = process(1);
  held.is_member = true;
  for (int i = 0; i < 3; ++i) {
    CHECK(rig.dynamic(1, "BACK") == 1000);
    CHECK(rig.book.release(tcp(1000), process(1), true, rig.now_ns));
    if (i == 0) rig.sweep({BookRig::socket(1000, 9)});
    CHECK(rig.book.inodes_without_owner().size() == (i == 0 ? 1 : 0));
    // Once it was looked up, the socket is known.
    rig.sweep({i == 0 ? held : BookRig::socket(1000, 9)});
  }
  CHECK(rig.dynamic(1, "BACK") == 1000);
}
