// What libtlsmux_ssl asks for its program, to the first byte of the stream.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/wrapper/addresses.hpp"
#include "shm/stream_record.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

const std::vector<config::SslWrapperRule> kRules{
    {.address = "192.0.2.7", .name = {}, .port = 443, .upstream = "acquirer"},
    {.address = "192.0.2.8", .name = {}, .port = 443, .upstream = "unknown to the shard"}};

shm::PeerAddress host(std::uint8_t last) {
  return {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last}, .port = 443};
}

std::optional<shm::MatchPeerReply> match(ControlClient& client, const shm::PeerAddress& peer) {
  shm::MatchPeerRequest request;
  request.peer = peer;
  if (!client.send(request)) return std::nullopt;
  return client.receive_as<shm::MatchPeerReply>();
}

// A program's socket that has arrived at the engine's listener, announced.
struct Redirected {
  shm::UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  shm::AnnounceStreamRequest request;

  Redirected(const shm::MatchPeerReply& reply, const shm::PeerAddress& original) {
    const auto to = engine::wrapper::socket_address(engine::wrapper::loopback(AF_INET, reply.listener_port));
    REQUIRE(::connect(socket.get(), to.get(), to.length) == 0);
    struct stat status{};
    REQUIRE(::fstat(socket.get(), &status) == 0);
    request.local = engine::wrapper::local_address_of(socket.get()).value();
    request.original = original;
    request.socket_inode = status.st_ino;
    request.upstream = reply.upstream;
  }

  void start(const shm::AnnounceStreamReply& announced) const {
    shm::StreamStart start;
    start.ticket = announced.ticket;
    REQUIRE(::send(socket.get(), &start, sizeof start, MSG_NOSIGNAL) == sizeof start);
  }
};

}  // namespace

TEST_CASE("wrapper.a redirected socket becomes a stream") {
  ServerProcess server({.wrapper_rules = kRules});
  ControlClient client(server.path());
  const auto reply = match(client, host(7));
  REQUIRE(reply);
  REQUIRE(reply->is_shared == 1);
  const Redirected redirected(*reply, host(7));
  REQUIRE(client.send(redirected.request));
  const auto announced = client.receive_as<shm::AnnounceStreamReply>();
  REQUIRE(announced);
  redirected.start(*announced);
  char groups = 0;
  REQUIRE(::recv(redirected.socket.get(), &groups, 1, 0) == 1);
  CHECK(groups == 1);
  CHECK(server.stop() == 0);
}

TEST_CASE("wrapper.a stream that a shard refuses is told so") {
  ServerProcess server({.wrapper_rules = kRules});
  ControlClient client(server.path());
  const auto reply = match(client, host(8));
  REQUIRE(reply);
  const Redirected redirected(*reply, host(8));
  REQUIRE(client.send(redirected.request));
  const auto announced = client.receive_as<shm::AnnounceStreamReply>();
  REQUIRE(announced);
  redirected.start(*announced);
  struct Record {
    shm::StreamRecordHeader header;
    shm::StreamLost body;
  } record;
  REQUIRE(::recv(redirected.socket.get(), &record, sizeof record, MSG_WAITALL) == sizeof record);
  CHECK(shm::type_of(record.header) == shm::StreamRecordType::refused);
  CHECK(shm::text_of(record.body.text) == "no such upstream");
  CHECK(::recv(redirected.socket.get(), &record, sizeof record, 0) == 0);
  CHECK(server.stop() == 0);
}

// It may be the new configuration that has the rule, and what is made under the old one would be lost.
TEST_CASE("wrapper.who asks while the configuration is being changed has its answer afterwards") {
  ServerProcess server({.refreshes = true, .wrapper_rules = kRules});
  ControlClient refresher(server.path());
  REQUIRE(refresher.send(shm::RefreshRequest{}));
  server.log().wait_for("event=refresh_ordered");
  ControlClient client(server.path());
  ControlClient gone(server.path());
  shm::MatchPeerRequest request;
  request.peer = host(7);
  REQUIRE(gone.send(request));
  REQUIRE(client.send(request));
  {
    ControlClient later(server.path());
    REQUIRE(later.catch_up());
  }
  pollfd answer{.fd = client.socket(), .events = POLLIN, .revents = 0};
  CHECK(::poll(&answer, 1, 0) == 0);
  gone.close();
  ControlClient shard(server.path());
  shm::DrainUpstreamRequest apply;
  shm::set_text(apply.upstream, "refresh");
  REQUIRE(shard.send(apply));
  const auto reply = client.receive_as<shm::MatchPeerReply>();
  REQUIRE(reply);
  CHECK(reply->is_shared == 1);
  CHECK(match(client, host(9))->is_shared == 0);
  CHECK(server.stop() == 0);
}

TEST_CASE("wrapper.what no rule covers is not shared") {
  ServerProcess server({.wrapper_rules = kRules});
  ControlClient client(server.path());
  const auto reply = match(client, host(9));
  REQUIRE(reply);
  CHECK(reply->is_shared == 0);
  CHECK(server.stop() == 0);
}

TEST_CASE("wrapper.nothing is shared without rules") {
  ServerProcess server;
  ControlClient client(server.path());
  const auto reply = match(client, host(7));
  REQUIRE(reply);
  CHECK(reply->is_shared == 0);
  REQUIRE(client.send(shm::AnnounceStreamRequest{}));
  CHECK(client.receive_error() == ENOENT);
  CHECK(server.stop() == 0);
}

TEST_CASE("wrapper.strangers learn nothing") {
  ServerProcess server({.members = {.users = {::geteuid() + 1}, .groups = {}}, .wrapper_rules = kRules});
  ControlClient client(server.path());
  shm::MatchPeerRequest request;
  request.peer = host(7);
  REQUIRE(client.send(request));
  CHECK(client.receive_error() == EACCES);
  REQUIRE(client.send(shm::AnnounceStreamRequest{}));
  CHECK(client.receive_error() == EACCES);
  CHECK(server.stop() == 0);
}

TEST_CASE("wrapper.a group that the process is no member of is refused") {
  ServerProcess server({.wrapper_rules = kRules});
  ControlClient client(server.path());
  shm::MatchPeerRequest request;
  request.peer = host(7);
  shm::set_text(request.group, "OTHER");
  REQUIRE(client.send(request));
  CHECK(client.receive_error() == EACCES);
  CHECK(server.stop() == 0);
}
