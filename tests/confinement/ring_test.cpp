// A ring does only what the io loop needs: seccomp does not see its operations.

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <functional>

#include <doctest/doctest.h>

#include "engine/io/ring.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {
namespace {

using engine::io::Ring;

void make(Ring& ring) {
  const auto started = ring.start(8, 1);
  REQUIRE_MESSAGE(started, (started ? "" : started.error().message));
  const auto enabled = ring.enable();
  REQUIRE_MESSAGE(enabled, (enabled ? "" : enabled.error().message));
}

int result_of(Ring& ring, const std::function<void(io_uring_sqe*)>& prepare) {
  prepare(ring.entry());
  REQUIRE(io_uring_submit_and_wait(ring.get(), 1) >= 0);
  io_uring_cqe* completion = nullptr;
  REQUIRE(io_uring_peek_cqe(ring.get(), &completion) == 0);
  const int result = completion->res;
  io_uring_cqe_seen(ring.get(), completion);
  return result;
}

}  // namespace

TEST_CASE("engine.a ring opens no files and makes no sockets") {
  Ring ring;
  make(ring);
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const shm::UniqueFd near(ends[0]);
  const shm::UniqueFd far(ends[1]);
  CHECK(result_of(ring, [](auto* entry) { io_uring_prep_openat(entry, AT_FDCWD, "/etc/passwd", O_RDONLY, 0); }) ==
        -EACCES);
  CHECK(result_of(ring, [](auto* entry) { io_uring_prep_socket(entry, AF_INET, SOCK_STREAM, 0, 0); }) == -EACCES);
  CHECK(result_of(ring, [](auto* entry) { io_uring_prep_unlinkat(entry, AT_FDCWD, "/nowhere", 0); }) == -EACCES);
  CHECK(result_of(ring, [&](auto* entry) { io_uring_prep_accept(entry, near.get(), nullptr, nullptr, 0); }) == -EACCES);
  // Nor with flags that are not its own.
  CHECK(result_of(ring, [&](auto* entry) {
          io_uring_prep_send(entry, near.get(), "a", 1, 0);
          entry->flags |= IOSQE_ASYNC;
        }) == -EACCES);
  CHECK(result_of(ring, [&](auto* entry) { io_uring_prep_send(entry, near.get(), "a", 1, 0); }) == 1);
}

TEST_CASE("engine.nothing more is registered with a ring that is enabled") {
  Ring ring;
  make(ring);
  const std::array descriptors{0, 1};
  CHECK(io_uring_register_files(ring.get(), descriptors.data(), descriptors.size()) == -EACCES);
  CHECK(io_uring_register_personality(ring.get()) == -EACCES);
}

}  // namespace tlsmux::test
