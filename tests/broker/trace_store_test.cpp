#include "engine/broker/trace_store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::TraceRange;
using engine::broker::TraceMemory;
using engine::broker::TraceStore;

namespace {

constexpr std::int64_t kNoonS = 12 * 60 * 60;

struct Store {
  test::TemporaryFolder folder;
  config::TraceNumberSettings settings{.first = 1, .last = 1000, .block = 10};
  TraceStore present = make();

  [[nodiscard]] std::string path() const { return folder.path() + "/ACQUIRER.trace"; }
  [[nodiscard]] TraceStore make() const {
    TraceStore store;
    store.set_folder(folder.path());
    return store;
  }
  // By an engine that begins.
  [[nodiscard]] TraceStore::Reserved begin(std::uint32_t blocks, std::int64_t now_s = kNoonS) {
    present = make();
    const auto reserved = present.reserve("ACQUIRER", settings, {.blocks = blocks, .begins = true}, now_s);
    REQUIRE(reserved.has_value());
    return *reserved;
  }
  [[nodiscard]] TraceStore::Reserved go_on(std::uint32_t blocks, std::vector<TraceRange> held = {}) {
    const engine::TraceHolds holds{
        .all = engine::pack(held),
        .kept = engine::pack({held.begin(), held.begin() + std::ssize(held) - std::ssize(held) / 2})};
    const auto reserved = present.reserve("ACQUIRER", settings, {.blocks = blocks, .held = holds}, kNoonS);
    REQUIRE(reserved.has_value());
    return *reserved;
  }
  void write(std::string_view text) const { std::ofstream(path()) << text; }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

std::uint32_t first_block(const TraceStore::Reserved& reserved) { return reserved.reservation.chunk.first; }

}  // namespace

TEST_CASE("engine.reserved trace numbers go round") {
  Store store;
  auto reserved = store.begin(30);
  CHECK(reserved.memory == TraceMemory::nowhere);
  CHECK(first_block(reserved) == 25);  // noon is half of the day, which is half of the round
  CHECK(reserved.reservation.chunk.count == 30);
  CHECK(store.read() == "tlsmux trace numbers, next: 551\nclients may have: 251-550\nof earlier rounds:\n");
  reserved = store.begin(25);
  CHECK(reserved.memory == TraceMemory::file);
  CHECK(first_block(reserved) == 55);
  reserved = store.go_on(30);
  CHECK(first_block(reserved) == 80);
  CHECK(reserved.reservation.chunk.count == 20);  // never over the end of the round
  CHECK(store.read() == "tlsmux trace numbers, next: 1\nclients may have: 801-1000\nof earlier rounds:\n");
  CHECK(first_block(store.go_on(30)) == 0);
  CHECK(first_block(store.begin(1)) == 30);

  struct stat status{};
  REQUIRE(::stat(store.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(status.st_uid == ::geteuid());
  CHECK_FALSE(std::filesystem::exists(store.path() + ".new"));
}

TEST_CASE("engine.an engine learns what clients of those before it may have") {
  Store store;
  store.settings.block = 1;
  CHECK(store.begin(10).reservation.held.all.count == 0);
  CHECK(store.go_on(10, {{3, 4}, {8, 9}}).reservation.held.all.count == 0);
  CHECK(store.read() == "tlsmux trace numbers, next: 271\nclients may have: 3-4 8-9 261-270\nof earlier rounds: 3-4\n");
  // One that dies before it knows more adds what it has reserved.
  for (std::uint32_t last = 270; last < 300; last += 10) {
    const auto [held, kept] = store.begin(10).reservation.held;
    CHECK(kept.count == 1);
    REQUIRE(held.count == 3);
    CHECK(held.ranges[1].first == 8);
    CHECK(held.ranges[2].first == 261);
    CHECK(held.ranges[2].last == last);
  }
  CHECK(store.go_on(10, {}).reservation.held.all.count == 0);
  CHECK(store.begin(1).reservation.held.all.count == 1);
}

TEST_CASE("engine.a lost or senseless file of trace numbers begins by the time of day") {
  for (const std::string_view text :
       {"", "12\n", "tlsmux trace numbers, next: \n", "tlsmux trace numbers, next: 12\n",
        "tlsmux trace numbers, next: 12\nclients may have:\n",
        "tlsmux trace numbers, next: 12\nclients may have: 7-8\nof earlier rounds: 7-6\n",
        "tlsmux trace numbers, next: 12\nclients may have: 7\nof earlier rounds:\n",
        "tlsmux trace numbers, next: 12\nclients may have: 7-6\nof earlier rounds:\n",
        "tlsmux trace numbers, next: 12\nclients may have: 7-8 \nof earlier rounds:\n",
        "tlsmux trace numbers, next: 12\nclients may have: 7-8\nof earlier rounds:\nx",
        "tlsmux trace numbers, next: -1\nclients may have:\nof earlier rounds:\n",
        "tlsmux trace numbers, next: 99999999999\nclients may have:\nof earlier rounds:\n",
        "tlsmux trace numbers, next: 1x\nclients may have:\nof earlier rounds:\n"}) {
    CAPTURE(text);
    Store store;
    store.write(text);
    const auto reserved = store.begin(1, 6 * 60 * 60);
    CHECK(reserved.memory == TraceMemory::nowhere);
    CHECK(first_block(reserved) == 12);
  }
  Store store;
  std::string many = "tlsmux trace numbers, next: 1\nclients may have:";
  for (std::uint32_t i = 0; i <= engine::kTraceRangesMax; ++i) many += " 1-2";
  store.write(many + "\nof earlier rounds:\n");
  CHECK(store.begin(1, 0).memory == TraceMemory::nowhere);
  ::unlink(store.path().c_str());
  CHECK(first_block(store.begin(1, 0)) == 0);
  ::unlink(store.path().c_str());
  CHECK(first_block(store.begin(1, 24 * 60 * 60 - 1)) == 49);
  ::unlink(store.path().c_str());
  CHECK(first_block(store.begin(1, -1)) == 49);  // a clock before 1970
}

TEST_CASE("engine.a file of trace numbers that is lost under a running broker is written anew") {
  Store store;
  CHECK(first_block(store.begin(30)) == 25);
  ::unlink(store.path().c_str());
  const auto reserved = store.go_on(5);
  CHECK(reserved.memory == TraceMemory::broker);
  CHECK(first_block(reserved) == 55);
  store.write("tlsmux trace numbers, next: 1\nclients may have:\nof earlier rounds:\n");  // an old copy
  CHECK(first_block(store.go_on(5)) == 60);
  CHECK(first_block(store.begin(5)) == 65);
}

TEST_CASE("engine.another range or block length repeats no number of the round") {
  Store store;
  store.write("tlsmux trace numbers, next: 101\nclients may have:\nof earlier rounds:\n");
  ::chmod(store.path().c_str(), 0600);
  store.settings.block = 64;
  CHECK(first_block(store.begin(1)) == 2);  // 129 is the first block from 101 on
  store.settings = {.first = 500, .last = 600, .block = 10};
  CHECK(first_block(store.begin(1)) == 0);  // before the range: at its start
  store.settings = {.first = 1, .last = 400, .block = 10};
  CHECK(first_block(store.begin(1)) == 0);  // behind it
}

TEST_CASE("engine.no part of a round is left out by an engine that starts late in it") {
  Store store;
  store.settings = {.first = 1, .last = 1'000'000, .block = 100};
  store.write("tlsmux trace numbers, next: 999801\nclients may have:\nof earlier rounds:\n");
  CHECK(first_block(store.begin(1)) == 9998);
  CHECK(first_block(store.begin(1)) == 9999);
  CHECK(first_block(store.begin(1)) == 0);
}

TEST_CASE("hostile.links and files of others are no memory of trace numbers") {
  Store store;
  const auto victim = store.folder.path() + "/victim";
  std::ofstream(victim) << "tlsmux trace numbers, next: 11\nclients may have:\nof earlier rounds:\n";
  const auto size = std::filesystem::file_size(victim);
  REQUIRE(::symlink(victim.c_str(), store.path().c_str()) == 0);
  REQUIRE(::symlink(victim.c_str(), (store.path() + ".new").c_str()) == 0);
  CHECK(store.begin(1).memory == TraceMemory::nowhere);
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(store.path())));
  CHECK(std::filesystem::file_size(victim) == size);
  ::chmod(store.path().c_str(), 0666);
  CHECK(store.begin(1).memory == TraceMemory::nowhere);
}

TEST_CASE("engine.a folder that cannot be written is told") {
  Store store;
  store.present.set_folder(store.folder.path() + "/nowhere");
  const auto missing = store.present.reserve("ACQUIRER", store.settings, {.blocks = 1, .begins = true}, 0);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.contains("/nowhere"));
}
