// Objects and memfds: who may change what, and when.
#include "shm/segment.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/shm/child.hpp"
#include "tests/shm/test_group.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kBytes = 16384;

struct stat status_of(int fd) {
  struct stat status{};
  REQUIRE(::fstat(fd, &status) == 0);
  return status;
}

bool exists(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

// 0, or the errno of a call that returned `result`.
int errno_of(long result) { return result == -1 ? errno : 0; }

// The errno of a new shared mapping of the first page; 0 if it succeeds, and it is gone again.
int try_map(int fd, int protection) {
  void* memory = ::mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return errno;
  ::munmap(memory, 4096);
  return 0;
}

Mapping map_whole(int fd, std::uint64_t bytes, Access access) {
  auto mapping = Mapping::map(fd, bytes, access);
  REQUIRE(mapping.has_value());
  return std::move(*mapping);
}

UniqueFd client_memory(std::uint64_t bytes) {
  auto fd = create_client_memory(bytes);
  REQUIRE(fd.has_value());
  return std::move(*fd);
}

}  // namespace

TEST_CASE("segment.group object is readable by the group, writable by its owner, whole and empty") {
  const test::TestGroup group;
  const mode_t umask_before = ::umask(0077);  // must not matter
  const auto fd = create_group_object(group.name(), kBytes);
  ::umask(umask_before);
  REQUIRE(fd.has_value());
  const auto status = status_of(fd->get());
  CHECK((status.st_mode & 07777) == 0640);
  CHECK(status.st_size == kBytes);
  CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 >= kBytes);  // every page is there
  CHECK(exists(group.path()));
  CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  const auto mapping = map_whole(fd->get(), kBytes, Access::read_write);
  CHECK(std::ranges::all_of(mapping.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_CASE("segment.group object is seen by whoever opens it, for reading only") {
  const test::TestGroup group;
  const auto fd = create_group_object(group.name(), kBytes);
  REQUIRE(fd.has_value());
  const auto writer = map_whole(fd->get(), kBytes, Access::read_write);
  const auto opened = open_group_object(group.name());
  REQUIRE(opened.has_value());
  const auto reader = map_whole(opened->get(), kBytes, Access::read_only);
  writer.bytes()[kBytes - 1] = std::byte{42};
  CHECK(reader.bytes()[kBytes - 1] == std::byte{42});
  CHECK(try_map(opened->get(), PROT_READ | PROT_WRITE) == EACCES);
  const auto refused = Mapping::map(opened->get(), kBytes, Access::read_write);
  REQUIRE(!refused.has_value());
  CHECK(refused.error().code == EACCES);
  CHECK(!refused.error().message.empty());
}

TEST_CASE("segment.group object is replaced by a second one while the old mapping stays") {
  const test::TestGroup group;
  const auto first = create_group_object(group.name(), kBytes);
  REQUIRE(first.has_value());
  const auto old_mapping = map_whole(first->get(), kBytes, Access::read_write);
  old_mapping.bytes()[0] = std::byte{1};

  const auto second = create_group_object(group.name(), 2 * kBytes);
  REQUIRE(second.has_value());
  CHECK(status_of(second->get()).st_ino != status_of(first->get()).st_ino);
  const auto opened = open_group_object(group.name());
  REQUIRE(opened.has_value());
  CHECK(status_of(opened->get()).st_ino == status_of(second->get()).st_ino);
  const auto new_mapping = map_whole(second->get(), 2 * kBytes, Access::read_write);
  CHECK(new_mapping.bytes()[0] == std::byte{0});
  new_mapping.bytes()[0] = std::byte{2};
  CHECK(old_mapping.bytes()[0] == std::byte{1});
}

TEST_CASE("segment.group object is gone once removed") {
  const test::TestGroup group;
  REQUIRE(create_group_object(group.name(), kBytes).has_value());
  remove_group_object(group.name());
  CHECK(!exists(group.path()));
  const auto opened = open_group_object(group.name());
  REQUIRE(!opened.has_value());
  CHECK(opened.error().code == ENOENT);
  CHECK(opened.error().message.find(group_object_name(group.name())) != std::string::npos);
  remove_group_object(group.name());
}

TEST_CASE("segment.group object that is none is an error, and nobody waits for it") {
  const test::TestGroup group;
  REQUIRE(::mkfifo(group.path().c_str(), 0600) == 0);
  const auto fifo = open_group_object(group.name());
  REQUIRE(!fifo.has_value());
  CHECK(fifo.error().code == EINVAL);
  CHECK(fifo.error().message.find("is no shared memory") != std::string::npos);
  remove_group_object(group.name());
  REQUIRE(::symlink("/dev/null", group.path().c_str()) == 0);
  const auto link = open_group_object(group.name());
  REQUIRE(!link.has_value());
  CHECK(link.error().code == ELOOP);
}

TEST_CASE("segment.group object larger than the memory for it is an error that leaves nothing behind") {
  struct statvfs space{};
  REQUIRE(::statvfs("/dev/shm", &space) == 0);
  if (space.f_blocks == 0) {
    test::skip("/dev/shm has no limit of its own, so that no size is too large for it");
    return;
  }
  const test::TestGroup group;
  const auto fd = create_group_object(group.name(), (space.f_blocks + 1) * space.f_frsize);
  REQUIRE(!fd.has_value());
  CHECK(fd.error().code == ENOSPC);
  CHECK(fd.error().message.find("/dev/shm/" + group_object_name(group.name())) != std::string::npos);
  CHECK(!exists(group.path()));
}

TEST_CASE("segment.client memory has its size and keeps it") {
  const auto fd = client_memory(kBytes);
  CHECK(check_client_memory(fd.get()) == kBytes);
  CHECK(static_cast<std::uint64_t>(status_of(fd.get()).st_blocks) * 512 >= kBytes);
  CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(errno_of(::ftruncate(fd.get(), 0)) == EPERM);
  CHECK(errno_of(::ftruncate(fd.get(), kBytes - 4096)) == EPERM);
  CHECK(errno_of(::ftruncate(fd.get(), kBytes + 4096)) == EPERM);
  CHECK(try_map(fd.get(), PROT_READ | PROT_WRITE) == 0);  // the client has yet to map it
}

TEST_CASE("segment.client memory without the seals is refused") {
  const UniqueFd unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(unsealed);
  REQUIRE(::ftruncate(unsealed.get(), kBytes) == 0);
  const auto checked = check_client_memory(unsealed.get());
  REQUIRE(!checked.has_value());
  CHECK(checked.error().code == EPERM);
  REQUIRE(::fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_GROW) == 0);
  CHECK(!check_client_memory(unsealed.get()).has_value());
  REQUIRE(::fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  CHECK(check_client_memory(unsealed.get()) == kBytes);

  const UniqueFd no_memory(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(!check_client_memory(no_memory.get()).has_value());
}

TEST_CASE("segment.client memory once sealed cannot be mapped for writing, punched, resized or written") {
  const auto fd = client_memory(kBytes);
  const auto engine = map_whole(fd.get(), kBytes, Access::read_write);
  const auto client = map_whole(fd.get(), kBytes, Access::read_write);
  REQUIRE(seal_client_memory(fd.get()).has_value());

  CHECK(try_map(fd.get(), PROT_READ | PROT_WRITE) == EPERM);
  CHECK(Mapping::map(fd.get(), kBytes, Access::read_write).error().code == EPERM);
  CHECK(errno_of(::ftruncate(fd.get(), 0)) == EPERM);
  CHECK(errno_of(::ftruncate(fd.get(), 2 * kBytes)) == EPERM);
  CHECK(errno_of(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)) == EPERM);
  CHECK(errno_of(::madvise(client.bytes().data(), kBytes, MADV_REMOVE)) == EPERM);
  const char byte = 'x';
  CHECK(errno_of(::pwrite(fd.get(), &byte, 1, 0)) == EPERM);
  CHECK(errno_of(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE)) == EPERM);

  // A second descriptor of the same memory is no way round.
  const UniqueFd reopened(::open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDWR | O_CLOEXEC));
  if (reopened) CHECK(try_map(reopened.get(), PROT_READ | PROT_WRITE) == EPERM);
  // Neither is a mapping for reading.
  const auto reader = map_whole(fd.get(), kBytes, Access::read_only);
  CHECK(::mprotect(reader.bytes().data(), kBytes, PROT_READ | PROT_WRITE) == -1);
}

TEST_CASE("segment.client memory once sealed still works for those who mapped it before") {
  const auto fd = client_memory(kBytes);
  const auto engine = map_whole(fd.get(), kBytes, Access::read_write);
  const auto client = map_whole(fd.get(), kBytes, Access::read_write);
  REQUIRE(seal_client_memory(fd.get()).has_value());
  client.bytes()[0] = std::byte{1};
  CHECK(engine.bytes()[0] == std::byte{1});
  engine.bytes()[kBytes - 1] = std::byte{2};
  CHECK(client.bytes()[kBytes - 1] == std::byte{2});
}

TEST_CASE("segment.client memory that cannot be sealed is reported") {
  const auto fd = client_memory(kBytes);
  REQUIRE(seal_client_memory(fd.get()).has_value());
  const auto again = seal_client_memory(fd.get());
  REQUIRE(!again.has_value());
  CHECK(again.error().code == EPERM);
  const UniqueFd never(::memfd_create("test", MFD_CLOEXEC));
  CHECK(!seal_client_memory(never.get()).has_value());
}

TEST_CASE("segment.client memory that the system does not grant is an error and no signal") {
  const auto end = test::run_in_child([] {
    constexpr std::uint64_t kLimit = 1U << 20;
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = kLimit, .rlim_max = kLimit};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const auto fd = create_client_memory(2 * kLimit);
    return !fd.has_value() && fd.error().code == EFBIG && !fd.error().message.empty() ? 0 : 1;
  });
  CHECK(end.exit_code == 0);
}
