// What clients ask for about ports, over the control socket.

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "shm/geometry.hpp"
#include "shm/port_lease.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

config::PortSettings port_settings() {
  config::PortSettings settings;
  settings.dynamic = {{.from = 1000, .to = 1099, .protocols = config::PortProtocols::tcp}};
  settings.leases_per_process = 4;
  settings.reuse_delay_ms = 0;
  return settings;
}

shm::ClaimPortRequest claim_of(std::uint16_t number = 0, bool wants_leases = false) {
  return {.header = {},
          .kind = number == 0 ? shm::PortClaimKind::dynamic : shm::PortClaimKind::number,
          .protocol = shm::kPortTcp,
          .port = number,
          .leases = wants_leases ? 1U : 0U};
}

// The port; 0: refused, or no answer.
std::uint32_t claim(ControlClient& client, std::uint16_t number = 0, bool wants_leases = false) {
  if (!client.send(claim_of(number, wants_leases))) return 0;
  const auto reply = client.receive_as<shm::ClaimPortReply>();
  return reply ? reply->port : 0;
}

shm::PortLeases& leases_of(const ControlClient::Attached& attached) {
  const auto& reply = attached.offer.reply;
  const shm::ClientGeometry geometry{
      .channels = reply.channels, .slots_per_channel = reply.slots_per_channel, .slot_bytes = reply.slot_bytes};
  return *reinterpret_cast<shm::PortLeases*>(attached.segment.client().data() + geometry.leases_offset());
}

}  // namespace

TEST_CASE("ports.claim over the control socket is answered with a port, or with why not") {
  ServerProcess server({.ports = port_settings()});
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  const auto port = claim(client);
  CHECK(port >= 1000);
  CHECK(port <= 1099);
  const auto pid = std::to_string(::getpid());
  test::ChildProcess process([&] {
    ControlClient other(server.path());
    std::string text;
    if (!other.attach(server.group())) return 1;
    // However often: who has claimed it is alive.
    for (int i = 0; i < 20; ++i) {
      if (!other.send(claim_of(static_cast<std::uint16_t>(port)))) return 1;
      if (other.receive_error(text) != EADDRINUSE) return 2;
      if (text.find("process " + pid) == std::string::npos) return 3;
    }
    return 0;
  });
  CHECK(process.wait() == 0);
  auto labelled = claim_of();
  labelled.kind = shm::PortClaimKind::labelled;
  shm::set_text(labelled.label, "pos");
  REQUIRE(client.send(labelled));
  CHECK(client.receive_error() == ENOENT);
  // What nobody answers does not get in the way.
  REQUIRE(client.send(shm::ReleasePortRequest{.header = {}, .protocol = shm::kPortTcp, .port = port}));
  REQUIRE(client.send(shm::RefillPortsRequest{}));
  CHECK(claim(client) != 0);
  CHECK(server.stop() == 0);
}

TEST_CASE("ports.lease is taken in the client's own memory, and made good by a refill") {
  ServerProcess server({.ports = port_settings()});
  ControlClient client(server.path());
  const auto attached = client.attach(server.group());
  REQUIRE(attached);
  auto& leases = leases_of(*attached);
  CHECK_FALSE(shm::take_lease(leases.tcp));
  CHECK(claim(client, 0, true) != 0);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 4; ++i) CHECK(shm::take_lease(leases.tcp));
    CHECK_FALSE(shm::take_lease(leases.tcp));
    REQUIRE(client.send(shm::RefillPortsRequest{}));
    CHECK(claim(client) != 0);
  }
}

TEST_CASE("ports.claim of a process that was killed is the next one's") {
  ServerProcess server({.ports = port_settings()});
  ControlClient other(server.path());
  REQUIRE(other.attach(server.group()));
  test::ChildProcess process([&] {
    ControlClient client(server.path());
    if (!client.attach(server.group()) || claim(client, 1007) != 1007) return 1;
    // So that the server still knows it when it hears of its death.
    if (!client.send_open_channel("hold") || !client.receive_as<shm::OpenChannelReply>()) return 3;
    ::kill(::getpid(), SIGKILL);
    return 2;
  });
  CHECK(process.wait() == 128 + SIGKILL);
  server.log().wait_for("event=client_died");
  CHECK(claim(other, 1007) == 1007);
}

TEST_CASE("hostile.words in a client's port leases end that client only") {
  ServerProcess server({.ports = port_settings()});
  ControlClient other(server.path());
  REQUIRE(other.attach(server.group()));
  CHECK(claim(other, 1007, true) == 1007);
  test::ChildProcess process([&] {
    ControlClient client(server.path());
    const auto attached = client.attach(server.group());
    if (!attached || claim(client, 0, true) == 0) return 1;
    leases_of(*attached).tcp[0] = shm::pack({.generation = 1, .port = 1007, .state = shm::LeaseState::taken});
    std::string text;
    if (!client.send(claim_of()) || client.receive_error(text) != EPROTO) return 2;
    return text.find("port leases") != std::string::npos ? 0 : 3;
  });
  CHECK(process.wait() == 0);
  server.log().wait_for("event=client_detached");
  CHECK(claim(other) != 0);
  CHECK(server.stop() == 0);
}

TEST_CASE("hostile.requests for ports that make no sense end the connection") {
  ServerProcess server({.ports = port_settings()});
  ControlClient client(server.path());
  SUBCASE("before it is attached") {
    REQUIRE(client.send(claim_of()));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("release before it is attached") {
    REQUIRE(client.send(shm::ReleasePortRequest{}));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("refill before it is attached") {
    REQUIRE(client.send(shm::RefillPortsRequest{}));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("of a protocol that there is not") {
    REQUIRE(client.attach(server.group()));
    auto request = claim_of();
    request.protocol = 4;
    REQUIRE(client.send(request));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("of a number that there is not") {
    REQUIRE(client.attach(server.group()));
    auto request = claim_of(1);
    request.port = 0x10000 + 1000;
    REQUIRE(client.send(request));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("release of none") {
    REQUIRE(client.attach(server.group()));
    REQUIRE(client.send(shm::ReleasePortRequest{.header = {}, .protocol = shm::kPortTcp, .port = 0}));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("while it waits for something else") {
    REQUIRE(client.attach(server.group()));
    REQUIRE(client.send_open_channel("silent"));
    REQUIRE(client.send(claim_of()));
    CHECK(client.receive_error() == EPROTO);
  }
  CHECK(server.stop() == 0);
}

TEST_CASE("ports.claim of an engine without ports is refused") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(client.send(claim_of()));
  CHECK(client.receive_error() == ENOTSUP);
}
