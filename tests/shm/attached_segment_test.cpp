// What a client maps: the group's part and, right behind it, its own.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <fstream>
#include <string>

#include "shm/layout.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/shm/child.hpp"
#include "tests/shm/test_group.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kGroupBytes = 8192;
constexpr std::uint64_t kClientBytes = 16384;

// The engine's end of both parts.
struct Engine {
  test::TestGroup group;
  UniqueFd group_fd = std::move(create_group_object(group.name(), kGroupBytes).value());
  UniqueFd client_fd = std::move(create_client_memory(kClientBytes).value());
  Mapping group_part = std::move(Mapping::map(group_fd.get(), kGroupBytes, Access::read_write).value());
  Mapping client_part = std::move(Mapping::map(client_fd.get(), kClientBytes, Access::read_write).value());
};

// As the client gets it: a descriptor of the group object that is open for reading only.
std::expected<AttachedSegment, SystemError> attach(const Engine& engine, std::uint64_t group_bytes = kGroupBytes) {
  const auto group_fd = open_group_object(engine.group.name());
  REQUIRE(group_fd.has_value());
  return AttachedSegment::map(group_fd->get(), group_bytes, engine.client_fd.get(), kClientBytes);
}

int read_byte(const std::byte* place) { return std::to_integer<int>(*static_cast<const volatile std::byte*>(place)); }

bool is_mapped(const std::byte* place) {
  unsigned char resident = 0;
  return ::mincore(const_cast<std::byte*>(place), 4096, &resident) == 0;
}

}  // namespace

TEST_CASE("segment.attached parts lie one behind the other and show the engine's memory") {
  const Engine engine;
  const auto segment = attach(engine);
  REQUIRE(segment.has_value());
  CHECK(segment->group().size() == kGroupBytes);
  CHECK(segment->client().size() == kClientBytes);
  CHECK(segment->client().data() == segment->group().data() + kGroupBytes);

  engine.group_part.bytes()[kGroupBytes - 1] = std::byte{1};
  CHECK(segment->group()[kGroupBytes - 1] == std::byte{1});
  segment->client()[0] = std::byte{2};
  CHECK(engine.client_part.bytes()[0] == std::byte{2});
  engine.client_part.bytes()[kClientBytes - 1] = std::byte{3};
  CHECK(segment->client()[kClientBytes - 1] == std::byte{3});
}

TEST_CASE("segment.attached client part works on after it was sealed") {
  const Engine engine;
  const auto segment = attach(engine);
  REQUIRE(segment.has_value());
  REQUIRE(seal_client_memory(engine.client_fd.get()).has_value());
  segment->client()[100] = std::byte{9};
  CHECK(engine.client_part.bytes()[100] == std::byte{9});
  CHECK(!attach(engine).has_value());  // a second client cannot map the same memory
}

TEST_CASE("segment.attached group part kills who writes to it") {
  const Engine engine;
  // Mapped in the child, since the parent's mapping is not inherited.
  const auto write_to_group = test::run_in_child([&] {
    const auto segment = AttachedSegment::map(engine.group_fd.get(), kGroupBytes, engine.client_fd.get(), kClientBytes);
    if (!segment) return 1;
    *const_cast<volatile std::byte*>(segment->group().data()) = std::byte{1};
    return 0;
  });
  CHECK(write_to_group.signal == SIGSEGV);
  const auto write_to_own = test::run_in_child([&] {
    const auto segment = AttachedSegment::map(engine.group_fd.get(), kGroupBytes, engine.client_fd.get(), kClientBytes);
    if (!segment) return 1;
    *const_cast<volatile std::byte*>(segment->client().data()) = std::byte{1};
    return 0;
  });
  CHECK(write_to_own.exit_code == 0);
}

TEST_CASE("segment.attached rows can be read where nothing can be written") {
  const Engine engine;
  auto& shared = *reinterpret_cast<SessionRow*>(engine.group_part.bytes().data());
  SessionRow row{};
  row.upstream = 12;
  row.requests = 34;
  write_row(shared, row);
  const auto segment = attach(engine);
  REQUIRE(segment.has_value());
  SessionRow copy{};
  REQUIRE(read_row(*reinterpret_cast<const SessionRow*>(segment->group().data()), copy));
  CHECK(copy.upstream == 12);
  CHECK(copy.requests == 34);
}

TEST_CASE("segment.attached parts are not inherited by fork") {
  const Engine engine;
  const auto segment = attach(engine);
  REQUIRE(segment.has_value());
  const auto* const group = segment->group().data();
  const auto* const client = segment->client().data();
  CHECK(test::run_in_child([&] { return read_byte(group); }).signal == SIGSEGV);
  CHECK(test::run_in_child([&] { return read_byte(client); }).signal == SIGSEGV);
  CHECK(test::run_in_child([&] { return read_byte(client + kClientBytes - 1); }).signal == SIGSEGV);
  CHECK(read_byte(group) == 0);  // the parent still has them
  CHECK(read_byte(client) == 0);
}

TEST_CASE("segment.attached parts are unmapped at the end and moved without moving the memory") {
  const Engine engine;
  const std::byte* group = nullptr;
  {
    auto segment = attach(engine);
    REQUIRE(segment.has_value());
    group = segment->group().data();
    const AttachedSegment moved = std::move(*segment);
    CHECK(moved.group().data() == group);
    CHECK(is_mapped(group));
    CHECK(is_mapped(group + kGroupBytes));
  }
  CHECK(!is_mapped(group));
  CHECK(!is_mapped(group + kGroupBytes));
}

TEST_CASE("segment.attached sizes that make no sense and descriptors that cannot be mapped are errors") {
  const Engine engine;
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, kGroupBytes - 1, kGroupBytes + 64}) {
    CAPTURE(bytes);
    const auto segment = attach(engine, bytes);
    REQUIRE(!segment.has_value());
    CHECK(segment.error().code == EPROTO);
  }
  const auto no_group = AttachedSegment::map(-1, kGroupBytes, engine.client_fd.get(), kClientBytes);
  REQUIRE(!no_group.has_value());
  CHECK(no_group.error().code == EBADF);
  const auto no_client = AttachedSegment::map(engine.group_fd.get(), kGroupBytes, -1, kClientBytes);
  REQUIRE(!no_client.has_value());
  CHECK(no_client.error().code == EBADF);
  const auto no_room =
      AttachedSegment::map(engine.group_fd.get(), std::uint64_t{1} << 60, engine.client_fd.get(), kClientBytes);
  REQUIRE(!no_room.has_value());
  CHECK(no_room.error().code == ENOMEM);
}

TEST_CASE("segment.attached reservations leave no address space behind when they fail") {
  const auto address_space_pages = [] {
    std::ifstream file("/proc/self/statm");
    long pages = 0;
    file >> pages;
    return pages;
  };
  const Engine engine;
  for (int i = 0; i < 3; ++i)
    static_cast<void>(AttachedSegment::map(engine.group_fd.get(), kGroupBytes, -1, kClientBytes));
  const long before = address_space_pages();
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(!AttachedSegment::map(engine.group_fd.get(), kGroupBytes, -1, kClientBytes).has_value());
    REQUIRE(!AttachedSegment::map(-1, kGroupBytes, engine.client_fd.get(), kClientBytes).has_value());
  }
  CHECK(address_space_pages() - before < 1000);  // one leak each would be 2000 times six pages
}
