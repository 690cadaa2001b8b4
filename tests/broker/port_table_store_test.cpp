// What is kept of a group's ports while no tlsmuxd runs.

#include "engine/broker/port_table_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "engine/ports/predecessor.hpp"
#include "shm/control_protocol.hpp"
#include "shm/fnv_hash.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using engine::broker::PortTableContents;
using engine::broker::PortTableStore;
using shm::PortState;

namespace {

constexpr const char* kGroup = "EBANKING";

ports::PortEntry entry(std::uint16_t port, PortState state, const std::string& label = {}, std::uint8_t flags = 0) {
  ports::PortEntry entry{.port = {.number = port}, .state = state, .flags = flags, .owner = {}, .label = label};
  if (state == PortState::free) return entry;
  entry.owner = {.pid = 4711, .uid = 500, .client_id = 0, .pidfd_inode = 99, .program = "till"};
  entry.socket_inode = port + 1'000'000U;
  entry.since_ns = 7'000'000'000;
  if (state == PortState::quarantine) entry.until_ns = 8'123'456'789;
  return entry;
}

void write_entry(shm::PortRow& shared, const ports::PortEntry& from) {
  shm::PortRow row{};
  row.state = from.state;
  row.port = from.port.number;
  row.protocol = static_cast<std::uint8_t>(ports::bit_of(from.port.protocol));
  row.flags = from.flags;
  row.pid = from.owner.pid;
  row.uid = from.owner.uid;
  row.client_id = 12;
  row.pidfd_inode = from.owner.pidfd_inode;
  row.socket_inode = from.socket_inode;
  row.since_s = static_cast<std::int64_t>(from.since_ns / 1'000'000'000);
  row.until_ns = from.until_ns;
  shm::set_text(row.program, from.owner.program);
  shm::set_text(row.service, kGroup);
  shm::set_text(row.label, from.label);
  shm::write_row(shared, row);
}

// A group's part as an engine leaves it, with other tables and rows between that are empty.
shm::UniqueFd object_with(const std::vector<ports::PortEntry>& entries, std::uint32_t rows = 64) {
  const shm::GroupTables tables{.clients = 4, .upstreams = 1, .port_rules = 3, .ports = rows, .port_summaries = 1};
  const auto bytes = tables.total_bytes();
  shm::UniqueFd fd(::memfd_create("object", MFD_CLOEXEC));
  REQUIRE(::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0);
  auto memory = shm::Mapping::map(fd.get(), bytes, shm::Access::read_write).value();
  const auto part = shm::GroupPart::format(memory.bytes(), tables, {.group = kGroup});
  for (std::size_t i = 0; i < entries.size(); ++i) write_entry(part.ports()[2 * i], entries[i]);
  return fd;
}

std::vector<ports::PortEntry> entries_in(int fd) {
  struct stat status{};
  REQUIRE(::fstat(fd, &status) == 0);
  const auto memory = shm::Mapping::map(fd, static_cast<std::uint64_t>(status.st_size), shm::Access::read_only).value();
  return engine::read_predecessor(memory.bytes(), kGroup, 0);
}

const std::vector kEntries{entry(1000, PortState::bound, "web"),
                           entry(1001, PortState::quarantine),
                           entry(1002, PortState::free, "db"),
                           entry(1003, PortState::claimed),
                           entry(1004, PortState::quarantine, "pos"),
                           entry(1005, PortState::external),
                           entry(2000, PortState::bound, "fixed", shm::kPortStatic)};
const std::vector kLabels{entry(1000, PortState::free, "web"), entry(1002, PortState::free, "db"),
                          entry(1004, PortState::free, "pos")};

struct Room {
  test::TemporaryFolder folder;
  test::LogPipe log_pipe;
  engine::Log log{config::LogLevel::debug, log_pipe.take_writing_end(), engine::Log::Mode::synchronous};
  PortTableStore store{folder.path(), "/run/tlsmux/control.sock", log};

  [[nodiscard]] std::string path() const { return store.path_of(kGroup); }
  void keep(const std::vector<ports::PortEntry>& entries, PortTableContents contents = PortTableContents::all) {
    store.keep(kGroup, object_with(entries).get(), contents);
  }
  [[nodiscard]] std::vector<ports::PortEntry> load() {
    const auto fd = store.load(kGroup);
    return fd ? entries_in(fd.get()) : std::vector<ports::PortEntry>();
  }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::trunc) << text; }
  // The next tlsmuxd takes nothing for it, and says so in one line.
  void check_ignored(const std::string& why) {
    CHECK(!store.load(kGroup));
    const auto line = log_pipe.wait_for("event=port_tables_ignored");
    CHECK_MESSAGE(line.contains(why), line);
    CHECK_MESSAGE(line.contains(path()), line);
    CHECK_MESSAGE(line.contains("level=warning"), line);
  }
};

}  // namespace

TEST_CASE("ports.kept tables tell the next engine what the object of the one before told") {
  Room room;
  CHECK(room.load().empty());
  const auto object = object_with(kEntries);
  room.store.keep(kGroup, object.get(), PortTableContents::all);
  CHECK(room.load() == entries_in(object.get()));
  CHECK(room.load() == kEntries);

  struct stat status{};
  REQUIRE(::stat(room.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(status.st_size < 16'384);  // without what is empty, and without clients
  CHECK(!std::filesystem::exists(room.path() + ".new"));
  const auto fd = room.store.load(kGroup);
  CHECK(::ftruncate(fd.get(), 0) != 0);  // nobody can change it any more
  CHECK(::pwrite(fd.get(), "", 1, 0) < 0);

  // What is kept again is what counts; and nothing of nothing.
  room.keep({entry(1001, PortState::bound)});
  CHECK(room.load() == std::vector{entry(1001, PortState::bound)});
  room.keep({});
  CHECK(!std::filesystem::exists(room.path()));
}

TEST_CASE("ports.kept tables of another boot tell labels, and nothing of pids and inodes") {
  Room room;
  room.keep(kEntries);
  auto text = room.read();
  const auto boot = text.find("boot ") + 5;
  text[boot] = text[boot] == '0' ? '1' : '0';
  room.write(text);
  CHECK(room.load() == kLabels);

  room.keep(kEntries, PortTableContents::labels);
  CHECK(room.load() == kLabels);
  room.keep({entry(1001, PortState::quarantine), entry(2000, PortState::bound, "fixed", shm::kPortStatic)},
            PortTableContents::labels);
  CHECK(!std::filesystem::exists(room.path()));
}

TEST_CASE("ports.kept tables that are damaged are left aside, with one line in the log") {
  Room room;
  room.keep(kEntries);
  const auto good = room.read();
  const auto image_at = good.find('\n', good.find("sum ")) + 1;
  const auto check = [&](const std::string& text, const char* why) {
    room.write(text);
    room.check_ignored(why);
  };
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{10}, image_at - 1, image_at, image_at + 1, good.size() - 1}) {
    CAPTURE(size);
    check(good.substr(0, size), size < 30 ? "another version" : "damaged");
  }
  for (std::size_t at = image_at; at < good.size(); at += 97) {
    auto text = good;
    text[at] = static_cast<char>(text[at] ^ 4);
    check(text, "damaged");
  }
  auto later = good;
  later.replace(later.find("version 1"), 9, "version 2");
  check(later, "another version");
  check(good + "more", "damaged");

  // Whole, but no image of tables.
  const auto with_image = [&](const std::string& image) {
    return good.substr(0, good.find("sum ")) + "sum " + shm::fnv_text(image) + "\n" + image;
  };
  auto image = good.substr(image_at);
  CHECK(with_image(image) == good);
  check(with_image(""), "size");
  check(with_image(image.substr(0, 2048)), "not as large as it says");
  image[10] = static_cast<char>(image[10] ^ 2);  // the layout's major version
  check(with_image(image), "another version of tlsmux");

  // Behind the end of the longest one.
  room.write(good);
  std::filesystem::resize_file(room.path(), engine::broker::port_table_image_bytes_max() + 300);
  room.check_ignored("too long");
  room.write(good);
  CHECK(room.load() == kEntries);
}

TEST_CASE("hostile.kept tables are this user's own file that nobody else can write") {
  Room room;
  room.keep(kEntries);
  const auto path = room.path();
  REQUIRE(::chmod(path.c_str(), 0620) == 0);
  room.check_ignored("can be written by others");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(room.load() == kEntries);
  const auto elsewhere = room.folder.path() + "/elsewhere";
  std::filesystem::rename(path, elsewhere);
  std::filesystem::create_symlink(elsewhere, path);
  room.check_ignored("is a link");
  // It is replaced, and what it leads to is not touched.
  const auto before = std::filesystem::file_size(elsewhere);
  room.keep({entry(1001, PortState::bound)});
  CHECK(std::filesystem::file_size(elsewhere) == before);
  CHECK(room.load() == std::vector{entry(1001, PortState::bound)});
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  room.check_ignored("no regular file");
  std::filesystem::remove(path);
  std::filesystem::rename(elsewhere, path);
  if (test::skip_without_root("makes files of another user")) return;
  REQUIRE(::chown(path.c_str(), test::kStranger, test::kStranger) == 0);
  room.check_ignored("belongs to uid");
}

TEST_CASE("hostile.of an engine's object that makes no sense nothing is kept") {
  Room room;
  const auto expect_nothing = [&](int fd) {
    room.keep(kEntries);
    room.store.keep(kGroup, fd, PortTableContents::labels);
    CHECK(room.log_pipe.wait_for("event=port_tables_not_kept").contains("level=error"));
    CHECK(!std::filesystem::exists(room.path()));
  };
  const auto object = object_with(kEntries);
  struct stat status{};
  REQUIRE(::fstat(object.get(), &status) == 0);
  for (const off_t size : {off_t{0}, off_t{100}, off_t{4096}, status.st_size - 1}) {
    REQUIRE(::ftruncate(object.get(), size) == 0);
    expect_nothing(object.get());
  }
  const auto far = object_with(kEntries);
  const std::uint64_t offset = 1ULL << 40;
  for (int section = 0; section < 8; ++section) {
    const auto at = offsetof(shm::GroupHeader, sections) + section * sizeof(shm::Section);
    const auto place = static_cast<off_t>(at + offsetof(shm::Section, offset));
    REQUIRE(::pwrite(far.get(), &offset, sizeof offset, place) == sizeof offset);
  }
  expect_nothing(far.get());
  // One that was kept stays where labels would be all that it has anyway.
  room.keep(kEntries, PortTableContents::labels);
  room.store.keep(kGroup, far.get(), PortTableContents::all);
  CHECK(room.load() == kLabels);
}

TEST_CASE("ports.kept tables of groups that are not configured any more are removed, and nobody else's") {
  Room room;
  room.keep(kEntries);
  const auto other_engines = PortTableStore(room.folder.path(), "/run/tlsmux/other.sock", room.log);
  other_engines.keep("GONE", object_with({}).get(), PortTableContents::all);
  std::vector<std::string> others{other_engines.path_of("GONE"), room.folder.path() + "/GONE.trace",
                                  room.folder.path() + "/GONE.tables"};
  const auto instance = std::filesystem::path(room.path()).filename().string();
  const auto start = room.folder.path() + "/" + instance.substr(0, instance.find('.'));
  others.push_back(start + ".ports");
  others.push_back(start + ".tables");
  for (const auto& path : others) std::ofstream(path) << "not ours";
  std::ofstream(room.store.path_of("GONE")) << "ours";
  std::ofstream(room.store.path_of("A.B")) << "ours";
  std::vector<config::GroupSettings> groups(2);
  groups[0].name = kGroup;
  groups[1].name = "A.B";
  room.store.remove_others(groups);
  CHECK(!std::filesystem::exists(room.store.path_of("GONE")));
  CHECK(std::filesystem::exists(room.store.path_of("A.B")));
  CHECK(room.load() == kEntries);
  room.store.remove_others({});
  CHECK(!std::filesystem::exists(room.path()));
  CHECK(!std::filesystem::exists(room.store.path_of("A.B")));
  for (const auto& path : others) CHECK_MESSAGE(std::filesystem::exists(path), path);
}

TEST_CASE("ports.a state directory that cannot be written is told") {
  Room room;
  const PortTableStore nowhere(room.folder.path() + "/missing", "/run/tlsmux/control.sock", room.log);
  CHECK(!nowhere.load(kGroup));
  nowhere.remove_others({});
  nowhere.keep(kGroup, object_with(kEntries).get(), PortTableContents::all);
  CHECK(room.log_pipe.wait_for("event=port_tables_not_kept").contains("/missing/"));
}
