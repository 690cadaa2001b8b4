// Asking for streams.

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

bool ask(ControlClient& client, std::string_view upstream, std::string_view group = {}) {
  shm::OpenStreamRequest request;
  shm::set_text(request.upstream, upstream);
  shm::set_text(request.group, group);
  return client.send(request);
}

// What the shard has said into the process's end of the stream; -1: there is none.
int opened_for_groups(ControlClient& client) {
  const auto packet = client.receive();
  shm::OpenStreamReply reply;
  if (!packet || !shm::read_message(*packet, reply) || packet->descriptors.size() != 1) return -1;
  char groups = 0;
  const auto& stream = packet->descriptors[0];
  if (::recv(stream.get(), &groups, 1, 0) != 1) return -1;
  int type = 0;
  socklen_t bytes = sizeof type;
  CHECK(::getsockopt(stream.get(), SOL_SOCKET, SO_TYPE, &type, &bytes) == 0);
  CHECK(type == SOCK_STREAM);
  return groups;
}

}  // namespace

TEST_CASE("stream.is opened for a member without attaching") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(ask(client, "acquirer"));
  CHECK(opened_for_groups(client) == 1);
  // Another one on the same connection.
  REQUIRE(ask(client, "acquirer", server.group()));
  CHECK(opened_for_groups(client) == 1);
  CHECK(server.stop() == 0);
}

TEST_CASE("stream.is opened for a client, too") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(ask(client, "acquirer"));
  CHECK(opened_for_groups(client) == 1);
  CHECK(server.stop() == 0);
}

TEST_CASE("stream.is refused with a reason") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(ask(client, "unknown"));
  CHECK(client.receive_error() == ENOENT);
  REQUIRE(ask(client, "acquirer", "no such group"));
  CHECK(client.receive_error() == ENOENT);
  REQUIRE(ask(client, "acquirer", "OTHER"));
  CHECK(client.receive_error() == EACCES);
  CHECK(server.stop() == 0);
}

TEST_CASE("stream.a refusal that its shard has logged is not logged again") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(ask(client, "full"));
  std::string text;
  CHECK(client.receive_error(text) == EAGAIN);
  CHECK(text == "it has all its streams");
  REQUIRE(ask(client, "unknown"));
  CHECK(client.receive_error() == ENOENT);
  // The first that there is.
  CHECK(server.log().wait_for("event=client_refused").find("no such upstream") != std::string::npos);
  CHECK(server.stop() == 0);
}

TEST_CASE("stream.strangers get none") {
  ServerProcess server({.members = {.users = {::geteuid() + 1}, .groups = {}}});
  ControlClient client(server.path());
  REQUIRE(ask(client, "acquirer"));
  std::string text;
  CHECK(client.receive_error(text) == EACCES);
  CHECK(text.find("member") != std::string::npos);
  CHECK(server.stop() == 0);
}

TEST_CASE("stream.one request at a time") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(ask(client, "silent"));
  REQUIRE(ask(client, "acquirer"));
  CHECK(client.receive_error() == EPROTO);
  CHECK(server.stop() == 0);
}
