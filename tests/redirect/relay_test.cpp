// Announced sockets on which a program speaks as if it were connected to the host.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "engine/confinement/confinement.hpp"
#include "engine/wrapper/addresses.hpp"
#include "tests/redirect/redirect_rig.hpp"
#include "tests/support/skip.hpp"
#include "tests/wrapper/loopback_listener.hpp"

using namespace tlsmux;
using engine::wrapper::SocketGone;
using test::announcement_of;
using test::ProgramSocket;
using test::RedirectRig;

namespace {

// Connected, and announced as on its way to a host on loopback.
void redirect(RedirectRig& rig, ProgramSocket& socket, std::uint16_t host_port, bool may_relay = true) {
  auto announcement = announcement_of(socket);
  announcement.original = engine::wrapper::loopback(AF_INET, host_port);
  announcement.may_relay = may_relay;
  REQUIRE(socket.connect(rig.port()));
  rig.thread().announce(announcement);
}

// Sends back what comes, until no more comes.
void echo(int socket) {
  std::array<char, 65536> bytes{};
  while (true) {
    const auto got = ::recv(socket, bytes.data(), bytes.size(), 0);
    if (got <= 0) return;
    std::size_t sent = 0;
    while (sent < static_cast<std::size_t>(got)) {
      const auto put = ::send(socket, bytes.data() + sent, static_cast<std::size_t>(got) - sent, MSG_NOSIGNAL);
      if (put <= 0) return;
      sent += static_cast<std::size_t>(put);
    }
  }
}

}  // namespace

TEST_CASE("wrapper.another byte than a ticket's makes a relay") {
  const test::LoopbackListener host;
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, host.port());
  REQUIRE(socket.send("EHLO"));
  const auto accepted = host.accept();
  REQUIRE(accepted);
  std::array<char, 4> bytes{};
  REQUIRE(::recv(accepted.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 4);
  CHECK(std::string(bytes.data(), 4) == "EHLO");
  REQUIRE(::send(accepted.get(), "250", 3, MSG_NOSIGNAL) == 3);
  REQUIRE(::recv(socket.get(), bytes.data(), 3, MSG_WAITALL) == 3);
  CHECK(std::string(bytes.data(), 3) == "250");
  // One side ends, the other goes on.
  socket.end_writing();
  CHECK(::recv(accepted.get(), bytes.data(), bytes.size(), 0) == 0);
  REQUIRE(::send(accepted.get(), "bye", 3, MSG_NOSIGNAL) == 3);
  ::shutdown(accepted.get(), SHUT_WR);
  CHECK(socket.read_all() == "bye");
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.the beginning of a ticket is relayed, too") {
  const test::LoopbackListener host;
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, host.port());
  REQUIRE(socket.send("\x5a\x5a\x5a!"));
  const auto accepted = host.accept();
  std::array<char, 4> bytes{};
  REQUIRE(::recv(accepted.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 4);
  CHECK(std::string(bytes.data(), 4) == "\x5a\x5a\x5a!");
}

TEST_CASE("wrapper.a relay carries much in both directions") {
  const test::LoopbackListener host;
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, host.port());
  std::string much(8UL << 20, '\0');
  for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<char>(i * 131 + i / 4096);
  std::thread at_host([&] {
    const auto accepted = host.accept();
    echo(accepted.get());
  });
  std::thread writer([&] {
    CHECK(socket.send(much));
    socket.end_writing();
  });
  const auto read = socket.read_all();
  writer.join();
  at_host.join();
  REQUIRE(read);
  CHECK((*read == much));
}

// Its thread's rules of system calls are its own and those of who starts it (redirect_rig.cpp).
TEST_CASE("wrapper.a relay carries much when the control thread had its rules before it was started") {
  const test::LoopbackListener host;
  test::confine_once();
  std::optional<RedirectRig> rig;
  std::thread([&] {
    engine::confinement::enter_thread(engine::confinement::ThreadKind::control);
    rig.emplace();
  }).join();
  REQUIRE(rig);
  const std::string much(4UL << 20, 'x');
  std::thread at_host([&] {
    const auto accepted = host.accept();
    echo(accepted.get());
  });
  ProgramSocket socket;
  redirect(*rig, socket, host.port());
  std::thread writer([&] {
    CHECK(socket.send(much));
    socket.end_writing();
  });
  const auto read = socket.read_all();
  writer.join();
  at_host.join();
  REQUIRE(read);
  CHECK((*read == much));
}

TEST_CASE("wrapper.a port that is root's alone is refused with what to do") {
  const auto own = ::geteuid();
  constexpr uid_t kNobody = 65534;
  if (own == 0) REQUIRE(::seteuid(kNobody) == 0);
  const auto opened = engine::wrapper::open_loopback_listeners(1);
  if (own == 0) REQUIRE(::seteuid(own) == 0);
  if (opened) {
    test::skip("this machine lets everybody have port 1 (net.ipv4.ip_unprivileged_port_start)");
    return;
  }
  CHECK(opened.error().code == EACCES);
  CHECK(opened.error().message.contains("listener_port"));
}

TEST_CASE("wrapper.a relay's host that does not listen resets the program") {
  std::uint16_t closed_port = 0;
  {
    const test::LoopbackListener gone;
    closed_port = gone.port();
  }
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, closed_port);
  REQUIRE(socket.send("hello"));
  CHECK_FALSE(socket.read_all());
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.a reset on one side of a relay is one on the other") {
  const test::LoopbackListener host;
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, host.port());
  REQUIRE(socket.send("hello"));
  auto accepted = host.accept();
  std::array<char, 5> bytes{};
  REQUIRE(::recv(accepted.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 5);
  test::reset_on_close(accepted.get());
  accepted.reset();
  CHECK_FALSE(socket.read_all());
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.where no rule covers nothing is relayed") {
  const test::LoopbackListener host;
  RedirectRig rig;
  ProgramSocket socket;
  redirect(rig, socket, host.port(), false);
  REQUIRE(socket.send("hello"));
  CHECK_FALSE(socket.read_all());
  CHECK(std::holds_alternative<SocketGone>(rig.news()));
}

TEST_CASE("wrapper.relays end with the engine") {
  const test::LoopbackListener host;
  ProgramSocket socket;
  shm::UniqueFd accepted;
  {
    RedirectRig rig;
    redirect(rig, socket, host.port());
    REQUIRE(socket.send("hello"));
    accepted = host.accept();
    std::array<char, 5> bytes{};
    REQUIRE(::recv(accepted.get(), bytes.data(), bytes.size(), MSG_WAITALL) == 5);
  }
  CHECK(socket.read_all() == "");
}
