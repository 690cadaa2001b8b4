// The two ends of a stream's socket, as kernels from Linux 6.16 on and older ones get them.

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <string>

#include <doctest/doctest.h>

#include "engine/control/stream_ends.hpp"
#include "shm/system/seqpacket.hpp"
#include "tests/control/control_client.hpp"

using namespace tlsmux;
using engine::control::make_stream_ends;

namespace {

std::string pass(const shm::UniqueFd& from, const shm::UniqueFd& to, const std::string& words) {
  std::string got(words.size(), '\0');
  if (::send(from.get(), words.data(), words.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(words.size())) return {};
  if (::recv(to.get(), got.data(), got.size(), MSG_WAITALL) != static_cast<ssize_t>(got.size())) return {};
  return got;
}

// Whether one that was sent into the stream is kept anywhere.
bool takes_descriptors(const shm::UniqueFd& stream) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const shm::UniqueFd reading(pipe[0]);
  shm::UniqueFd writing(pipe[1]);
  const auto sent = shm::send_packet(stream.get(), std::as_bytes(std::span("x", 1)), std::array{writing.get()});
  if (!sent) CHECK(sent.error().code == EPERM);
  writing.reset();
  char byte = 0;
  return ::read(reading.get(), &byte, 1) != 0;
}

}  // namespace

TEST_CASE("stream.takes no descriptors from its process, on any kernel") {
  for (const bool may_refuse : {true, false}) {
    if (may_refuse && test::skip_without_descriptor_refusal()) continue;
    const auto ends = make_stream_ends(may_refuse);
    REQUIRE(ends);
    CHECK(pass(ends->process, ends->engine, "up") == "up");
    CHECK(pass(ends->engine, ends->process, "down") == "down");
    CHECK_FALSE(takes_descriptors(ends->process));
  }
}

TEST_CASE("stream.says that there are no descriptors left, whichever of its sockets lacks one") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const auto lowest = static_cast<rlim_t>(shm::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get());
  for (const rlim_t left : {0, 1, 2}) {
    const rlimit scarce{.rlim_cur = lowest + left, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &scarce) == 0);
    const auto ends = make_stream_ends(false);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(ends);
    CHECK(ends.error().code == EMFILE);
  }
}

TEST_CASE("stream.says whether its socket tells a hang-up") {
  for (const bool may_refuse : {true, false}) {
    auto ends = make_stream_ends(may_refuse);
    REQUIRE(ends);
    ends->process.reset();
    pollfd hang_up{.fd = ends->engine.get(), .events = POLLRDHUP, .revents = 0};
    REQUIRE(::poll(&hang_up, 1, -1) == 1);
    CHECK(((hang_up.revents & POLLHUP) != 0) == ends->tells_hang_up);
  }
}
