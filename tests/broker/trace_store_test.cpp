#include "engine/broker/trace_store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "tests/broker/process.hpp"

using namespace tlsmux;
using engine::broker::TraceStore;

namespace {

constexpr std::int64_t kNoonS = 12 * 60 * 60;

struct Store {
  test::TestFolder folder;
  config::TraceNumberSettings settings{.first = 1, .last = 1000, .block = 10};

  [[nodiscard]] std::string path() const { return folder.path() + "/ACQUIRER.trace"; }
  [[nodiscard]] TraceStore::Reserved reserve(std::uint32_t blocks, std::int64_t now_s = kNoonS,
                                             bool first = false) const {
    const auto reserved = TraceStore(folder.path()).reserve("ACQUIRER", settings, blocks, first, now_s);
    REQUIRE(reserved.has_value());
    return *reserved;
  }
  void write(std::string_view text) const { std::ofstream(path()) << text; }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace

TEST_CASE("engine.reserved trace numbers go round") {
  const Store store;
  auto reserved = store.reserve(30);
  CHECK(reserved.began_anew);
  CHECK(reserved.chunk.first == 25);  // noon is half of the day, which is half of the round
  CHECK(reserved.chunk.count == 30);
  CHECK(store.read() == "tlsmux trace numbers, next: 551\n");
  reserved = store.reserve(25);
  CHECK_FALSE(reserved.began_anew);
  CHECK(reserved.chunk.first == 55);
  reserved = store.reserve(30);
  CHECK(reserved.chunk.first == 80);
  CHECK(reserved.chunk.count == 20);  // never over the end of the round
  CHECK(store.read() == "tlsmux trace numbers, next: 1\n");
  CHECK(store.reserve(30).chunk.first == 0);
  CHECK(store.reserve(1).chunk.first == 30);

  struct stat status{};
  REQUIRE(::stat(store.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(status.st_uid == ::geteuid());
  CHECK_FALSE(std::filesystem::exists(store.path() + ".new"));
}

TEST_CASE("engine.a lost or senseless file of trace numbers begins by the time of day") {
  for (const std::string_view text : {"", "12\n", "tlsmux trace numbers, next: \n", "tlsmux trace numbers, next: 12",
                                      "tlsmux trace numbers, next: -1\n", "tlsmux trace numbers, next: 99999999999\n",
                                      "tlsmux trace numbers, next: 1x\n"}) {
    CAPTURE(text);
    const Store store;
    store.write(text);
    const auto reserved = store.reserve(1, 6 * 60 * 60);
    CHECK(reserved.began_anew);
    CHECK(reserved.chunk.first == 12);
  }
  const Store store;
  CHECK(store.reserve(1, 0).chunk.first == 0);
  ::unlink(store.path().c_str());
  CHECK(store.reserve(1, 24 * 60 * 60 - 1).chunk.first == 49);
  ::unlink(store.path().c_str());
  CHECK(store.reserve(1, -1).chunk.first == 49);  // a clock before 1970
}

TEST_CASE("engine.another range or block length repeats no number of the round") {
  Store store;
  store.write("tlsmux trace numbers, next: 101\n");
  ::chmod(store.path().c_str(), 0600);
  store.settings.block = 64;
  CHECK(store.reserve(1).chunk.first == 2);  // 129 is the first block from 101 on
  store.settings = {.first = 500, .last = 600, .block = 10};
  CHECK(store.reserve(1).chunk.first == 0);  // before the range: at its start
  store.settings = {.first = 1, .last = 400, .block = 10};
  CHECK(store.reserve(1).chunk.first == 0);  // behind it
}

TEST_CASE("engine.an engine that starts late in a large round begins the next one") {
  Store store;
  store.settings = {.first = 1, .last = 1'000'000, .block = 100};
  store.write("tlsmux trace numbers, next: 750001\n");
  CHECK(store.reserve(1, 0, false).chunk.first == 7500);
  CHECK(store.reserve(1, 0, true).chunk.first == 0);
  CHECK(store.reserve(1, 0, true).chunk.first == 1);
  store.settings = {.first = 1, .last = 1000, .block = 10};
  store.write("tlsmux trace numbers, next: 991\n");
  CHECK(store.reserve(1, 0, true).chunk.first == 99);  // too small for that
}

TEST_CASE("hostile.links and files of others are no memory of trace numbers") {
  const Store store;
  const auto victim = store.folder.path() + "/victim";
  std::ofstream(victim) << "tlsmux trace numbers, next: 11\n";
  REQUIRE(::symlink(victim.c_str(), store.path().c_str()) == 0);
  REQUIRE(::symlink(victim.c_str(), (store.path() + ".new").c_str()) == 0);
  CHECK(store.reserve(1).began_anew);
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(store.path())));
  CHECK(std::filesystem::file_size(victim) == 31);
  ::chmod(store.path().c_str(), 0666);
  CHECK(store.reserve(1).began_anew);
}

TEST_CASE("engine.a folder that cannot be written is told") {
  const Store store;
  const auto missing = TraceStore(store.folder.path() + "/nowhere").reserve("ACQUIRER", store.settings, 1, true, 0);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.contains("/nowhere"));
}
