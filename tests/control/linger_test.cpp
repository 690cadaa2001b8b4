// Before Linux 6.16 nothing keeps descriptors out of a socket. Of a socket that lingers the last close lasts as long as its owner
// has said, and so would every other client's wait for the server.

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/broker/lingering_socket.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::LingeringSocket;
using test::ServerProcess;

namespace {

// The server must not run: the last close would be here.
void send_with_a_message(LingeringSocket socket, ControlClient& client) {
  REQUIRE(std::move(socket).give_away([&](int descriptor) {
    return shm::send_message(client.socket(), shm::ListGroupsRequest{}, std::array{descriptor}).has_value();
  }));
}

bool is_served(const ServerProcess& server) {
  ControlClient client(server.path());
  return client.attach(server.group()).has_value();
}

}  // namespace

TEST_CASE("hostile.message with a descriptor whose closing takes its time keeps nobody waiting") {
  ServerProcess server({.takes_descriptors = true});
  ControlClient client(server.path());
  LingeringSocket socket;
  server.send_signal(SIGSTOP);
  send_with_a_message(std::move(socket), client);
  server.send_signal(SIGCONT);
  CHECK(client.receive_error() == EPROTO);
  CHECK(is_served(server));
  CHECK(server.stop() == 0);
}

TEST_CASE("hostile.message with a descriptor whose closing takes its time keeps nobody waiting, if it is not read") {
  ServerProcess server({.takes_descriptors = true});
  ControlClient client(server.path());
  REQUIRE(client.catch_up());
  LingeringSocket socket;
  server.send_signal(SIGSTOP);
  client.send(shm::MappedNotice{});  // out of turn
  send_with_a_message(std::move(socket), client);
  server.send_signal(SIGCONT);
  CHECK(client.receive_error() == EPROTO);
  CHECK(is_served(server));
  CHECK(server.stop() == 0);
}

TEST_CASE(
    "hostile.message with a descriptor whose closing takes its time keeps nobody waiting, if its sender is turned "
    "away") {
  ServerProcess server({.takes_descriptors = true});
  rlimit before{};
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
  auto none = before;
  none.rlim_cur = 0;
  const auto folder = "/proc/" + std::to_string(server.pid()) + "/fd/";
  while (std::filesystem::is_symlink(std::filesystem::symlink_status(folder + std::to_string(none.rlim_cur)))) {
    ++none.rlim_cur;
  }
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, &none, nullptr) == 0);
  server.send_signal(SIGSTOP);
  ControlClient client(server.path());
  LingeringSocket socket;
  send_with_a_message(std::move(socket), client);
  server.send_signal(SIGCONT);
  server.log().wait_for("event=descriptors_exhausted");
  CHECK(client.receive()->bytes.empty());
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
  CHECK(is_served(server));
  CHECK(server.stop() == 0);
}
