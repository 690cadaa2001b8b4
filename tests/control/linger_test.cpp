// Before Linux 6.16 nothing keeps descriptors out of a socket. Of a socket that lingers the last close lasts as long as its owner
// has said, and so would every other client's wait for the server.

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

constexpr int kLingerSeconds = 600;  // longer than any test waits

// Has sent what its other end has no room for and will never read.
class LingeringSocket {
 public:
  LingeringSocket() {
    const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small = 2048;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener.get(), place, length) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), place, &length) == 0);
    socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket_.get(), place, length) == 0);
    other_end_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::vector<char> bytes(65536);
    while (::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
    const linger lingers{.l_onoff = 1, .l_linger = kLingerSeconds};
    REQUIRE(::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &lingers, sizeof lingers) == 0);
  }

  // From now on the last descriptor of it is in the message. The server must not run: the last close would be here.
  void send_with_a_message(ControlClient& client) {
    REQUIRE(shm::send_message(client.socket(), shm::ListGroupsRequest{}, std::array{socket_.get()}));
    socket_.reset();
  }

 private:
  shm::UniqueFd socket_;
  shm::UniqueFd other_end_;
};

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
  socket.send_with_a_message(client);
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
  socket.send_with_a_message(client);
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
  socket.send_with_a_message(client);
  server.send_signal(SIGCONT);
  server.log().wait_for("event=descriptors_exhausted");
  CHECK(client.receive()->bytes.empty());
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
  CHECK(is_served(server));
  CHECK(server.stop() == 0);
}
