// Strangers, liars and floods.

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/redirect/redirect_rig.hpp"
#include "tests/wrapper/loopback_listener.hpp"

using namespace tlsmux;
using engine::control::Lobby;
using engine::wrapper::SocketGone;
using engine::wrapper::StartedStream;
using test::announcement_of;
using test::ProgramSocket;
using test::RedirectRig;

namespace {

shm::StreamStart start_with(std::uint8_t ticket) {
  shm::StreamStart start;
  start.ticket.fill(ticket);
  return start;
}

bool is_ended(const ProgramSocket& socket) {
  pollfd wanted{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) == 1;  // nothing is ever sent to it
}

}  // namespace

TEST_CASE("wrapper.a stranger is closed, whatever it says") {
  RedirectRig rig;
  ProgramSocket socket;
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start_with(0x5a)));
  CHECK_FALSE(socket.read_all());
}

TEST_CASE("wrapper.a wrong ticket is no stream") {
  RedirectRig rig;
  ProgramSocket socket;
  rig.thread().announce(announcement_of(socket));
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start_with(0x5b)));
  CHECK_FALSE(socket.read_all());
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.who announces another's socket does not get it") {
  SUBCASE("of another user") {
    RedirectRig rig([ask = test::asks_kernel()](const auto& local, const auto& remote) {
      auto owner = ask(local, remote);
      if (owner) ++owner->uid;
      return owner;
    });
    ProgramSocket socket;
    REQUIRE(socket.connect(rig.port()));
    REQUIRE(socket.send(start_with(0x5a)));
    rig.thread().announce(announcement_of(socket));
    CHECK(std::holds_alternative<SocketGone>(rig.news()));
    CHECK_FALSE(socket.read_all());
  }
  SUBCASE("of another inode, and then its own process does") {
    RedirectRig rig;
    ProgramSocket socket;
    auto lie = announcement_of(socket);
    ++lie.socket_inode;
    REQUIRE(socket.connect(rig.port()));
    REQUIRE(socket.send(start_with(0x5a)));
    rig.thread().announce(lie);
    CHECK(std::holds_alternative<SocketGone>(rig.news()));
    rig.thread().announce(announcement_of(socket));
    CHECK(std::holds_alternative<StartedStream>(rig.news()));
  }
}

TEST_CASE("wrapper.a flood of connections keeps nobody else out") {
  constexpr std::size_t kFlood = 400;
  const auto arrived = std::make_shared<std::atomic<std::size_t>>(0);
  RedirectRig rig([arrived, ask = test::asks_kernel()](const auto& local, const auto& remote) {
    auto owner = ask(local, remote);
    // The flood is another user's.
    if (owner && ++*arrived <= kFlood) ++owner->uid;
    return owner;
  });
  std::vector<ProgramSocket> flood(kFlood);
  for (auto& socket : flood) REQUIRE(socket.connect(rig.port()));
  ProgramSocket socket;
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start_with(0x5a)));
  rig.thread().announce(announcement_of(socket));
  const auto news = rig.news();
  REQUIRE(std::holds_alternative<StartedStream>(news));
  const auto left = std::ranges::count_if(flood, [](const auto& each) { return !is_ended(each); });
  CHECK(left <= static_cast<std::ptrdiff_t>(Lobby::kConnectionsPerUserMax));
}

// The limit is below all that is open: to give up a descriptor does not help.
TEST_CASE("wrapper.when nothing can be accepted connections wait, and the thread does not spin") {
  test::LogPipe log;
  RedirectRig rig({}, log.take_writing_end());
  ProgramSocket waiting;
  ProgramSocket socket;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const bool is_connected = waiting.connect(rig.port());
  std::vector<std::string> lines;
  for (int i = 0; i < 12; ++i) lines.push_back(log.wait_for("event=descriptors_exhausted"));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(is_connected);
  // Attempts since the last line. One that spins makes some ten thousands in the second to the eleventh line.
  for (const auto& line : lines) CHECK(std::stoul(test::value_in(line, "unlogged")) < 200);
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start_with(0x5a)));
  rig.thread().announce(announcement_of(socket));
  CHECK(std::holds_alternative<StartedStream>(rig.news()));
}
