// What is made for clients to come.
#include <doctest/doctest.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>

#include "engine/control/client_spares.hpp"

using namespace tlsmux;
using engine::control::ClientSpares;

namespace {

constexpr shm::ClientGeometry kSmall{.channels = 1, .slots_per_channel = 8, .slot_bytes = 512};
constexpr shm::ClientGeometry kOther{.channels = 2, .slots_per_channel = 8, .slot_bytes = 512};
constexpr shm::ClientGeometry kLarge{.channels = 1, .slots_per_channel = 64, .slot_bytes = 65536};
static_assert(kLarge.total_bytes() > ClientSpares::kBytesMax);

// How much of the mapping that begins there is in this process's page table, by /proc/self/smaps.
std::uint64_t entered_bytes(const void* start) {
  std::ifstream lines("/proc/self/smaps");
  const std::string resident = "Rss:";
  bool is_there = false;
  for (std::string line; std::getline(lines, line);) {
    if (is_there && line.starts_with(resident)) return 1024 * std::stoull(line.substr(resident.size()));
    std::uint64_t address = 0;
    const auto read = std::from_chars(line.data(), line.data() + line.size(), address, 16);
    if (read.ec == std::errc{} && *read.ptr == '-') is_there = address == reinterpret_cast<std::uintptr_t>(start);
  }
  return 0;
}

}  // namespace

TEST_CASE("engine.spare memory is what the last client of the group had, and as new") {
  ClientSpares spares;
  CHECK_FALSE(spares.is_short());
  CHECK_FALSE(spares.take(1, kSmall));
  CHECK(spares.is_short());
  spares.make();
  CHECK_FALSE(spares.is_short());
  CHECK_FALSE(spares.take(0, kSmall));  // another group
  const auto memory = spares.take(1, kSmall);
  REQUIRE(memory);
  const auto bytes = memory->mapping->bytes();
  CHECK(bytes.size() == kSmall.total_bytes());
  CHECK(std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; }));
  CHECK(shm::check_client_memory(memory->memfd.get()) == kSmall.total_bytes());
  CHECK_FALSE(spares.take(1, kSmall));
}

TEST_CASE("engine.spare memory costs no page faults any more") {
  ClientSpares spares;
  CHECK_FALSE(spares.take(0, kSmall));
  spares.make();
  const auto memory = spares.take(0, kSmall);
  REQUIRE(memory);
  CHECK(entered_bytes(memory->mapping->bytes().data()) == kSmall.total_bytes());
}

TEST_CASE("engine.spare memory of another kind is given back") {
  ClientSpares spares;
  CHECK_FALSE(spares.take(0, kSmall));
  spares.make();
  CHECK_FALSE(spares.take(0, kOther));
  CHECK_FALSE(spares.take(0, kSmall));
  spares.make();
  spares.drop();
  CHECK_FALSE(spares.is_short());
  CHECK_FALSE(spares.take(0, kSmall));
}

TEST_CASE("engine.spare memory that is large is not made") {
  ClientSpares spares;
  CHECK_FALSE(spares.take(0, kLarge));
  CHECK_FALSE(spares.is_short());
}
