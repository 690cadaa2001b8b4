// Announced sockets that become streams.

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "tests/redirect/redirect_rig.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using engine::wrapper::SocketGone;
using engine::wrapper::StartedStream;
using test::announcement_of;
using test::ProgramSocket;
using test::RedirectRig;

namespace {

shm::StreamStart start_with(const engine::wrapper::Announcement& announcement) {
  shm::StreamStart start;
  start.ticket = announcement.ticket;
  std::string("\2h2").copy(start.alpn.data(), 3);
  return start;
}

std::unique_ptr<ProgramSocket> socket_of(ProgramSocket::Kind kind) {
  try {
    return std::make_unique<ProgramSocket>(kind);
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

void check_started(RedirectRig& rig, const ProgramSocket& socket) {
  auto news = rig.news();
  auto* const started = std::get_if<StartedStream>(&news);
  REQUIRE(started != nullptr);
  CHECK(started->alpn == "\2h2");
  CHECK(started->announcement.upstream == "HOST");
  CHECK(started->announcement.groups == std::vector<std::uint32_t>{3});
  CHECK((::fcntl(started->socket.get(), F_GETFL) & O_NONBLOCK) == 0);
  REQUIRE(socket.send("question"));
  std::array<char, 8> bytes{};
  CHECK(::recv(started->socket.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 8);
  CHECK(std::string(bytes.data(), bytes.size()) == "question");
}

}  // namespace

TEST_CASE("wrapper.a ticket makes a stream of an announced socket") {
  RedirectRig rig;
  ProgramSocket socket;
  const auto announcement = announcement_of(socket);
  const auto start = start_with(announcement);
  SUBCASE("announced when it has connected") {
    REQUIRE(socket.connect(rig.port()));
    rig.thread().announce(announcement);
    REQUIRE(socket.send(start));
  }
  SUBCASE("announced while it is still connecting") {
    rig.thread().announce(announcement);
    REQUIRE(socket.connect(rig.port()));
    REQUIRE(socket.send(start));
  }
  SUBCASE("it has spoken before it is announced") {
    REQUIRE(socket.connect(rig.port()));
    REQUIRE(socket.send(start));
    rig.thread().announce(announcement);
  }
  SUBCASE("bit by bit") {
    rig.thread().announce(announcement);
    REQUIRE(socket.connect(rig.port()));
    const std::string_view bytes(reinterpret_cast<const char*>(&start), sizeof start);
    for (std::size_t i = 0; i < bytes.size(); i += 7) REQUIRE(socket.send(bytes.substr(i, 7)));
  }
  check_started(rig, socket);
}

TEST_CASE("wrapper.sockets of IPv6 are redirected, too") {
  RedirectRig rig;
  for (const auto kind : {ProgramSocket::Kind::ipv6, ProgramSocket::Kind::ipv4_mapped}) {
    const auto socket = socket_of(kind);
    if (!socket) {
      test::skip("this machine has no IPv6");
      continue;
    }
    const auto announcement = announcement_of(*socket);
    REQUIRE(socket->connect(rig.port()));
    rig.thread().announce(announcement);
    REQUIRE(socket->send(start_with(announcement)));
    check_started(rig, *socket);
  }
}

TEST_CASE("wrapper.a start record that does not come whole is no stream") {
  RedirectRig rig;
  ProgramSocket socket;
  const auto announcement = announcement_of(socket);
  const auto start = start_with(announcement);
  rig.thread().announce(announcement);
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(std::string_view(reinterpret_cast<const char*>(&start), 100)));
  socket.end_writing();
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.a malformed start record is no stream") {
  RedirectRig rig;
  ProgramSocket socket;
  const auto announcement = announcement_of(socket);
  auto start = start_with(announcement);
  start.alpn.fill('\x7e');  // three names, and the last is not whole
  rig.thread().announce(announcement);
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start));
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
  CHECK_FALSE(socket.read_all());
}

TEST_CASE("wrapper.an announced socket that never comes is forgotten") {
  RedirectRig rig;
  const ProgramSocket socket;
  const auto announcement = announcement_of(socket);
  rig.thread().announce(announcement);
  const auto news = rig.news();
  REQUIRE(std::holds_alternative<SocketGone>(news));
  CHECK(std::get<SocketGone>(news).uid == announcement.uid);
}

TEST_CASE("wrapper.of two announcements of an address the newer one counts") {
  RedirectRig rig;
  ProgramSocket socket;
  auto announcement = announcement_of(socket);
  announcement.ticket.fill(1);
  rig.thread().announce(announcement);
  announcement.ticket.fill(2);
  rig.thread().announce(announcement);
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
  REQUIRE(socket.connect(rig.port()));
  REQUIRE(socket.send(start_with(announcement)));
  check_started(rig, socket);
}
