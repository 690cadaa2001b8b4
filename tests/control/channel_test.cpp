// Opening and closing channels, looking on.

#include <unistd.h>

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

TEST_CASE("engine.channel is opened with its wake descriptor") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(client.send_open_channel("acquirer"));
  const auto packet = client.receive();
  shm::OpenChannelReply reply;
  REQUIRE(packet);
  REQUIRE(shm::read_message(*packet, reply));
  CHECK(reply.channel == 0);
  CHECK(reply.upstream == 3);
  CHECK(reply.message_bytes_max == 99);
  CHECK(reply.timeout_ms == 1234);
  REQUIRE(packet->descriptors.size() == 1);
  // What the shard wrote into its end.
  std::uint64_t count = 0;
  CHECK(::read(packet->descriptors[0].get(), &count, sizeof count) == sizeof count);
  CHECK(count == 1);
  REQUIRE(client.send_open_channel("acquirer"));
  CHECK(client.receive_as<shm::OpenChannelReply>()->channel == 1);
}

TEST_CASE("engine.channel refusals come from the shard and leave the client served") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(client.send_open_channel("nowhere"));
  CHECK(client.receive_error() == ENOENT);
  REQUIRE(client.send(shm::CloseChannelRequest{.header = {}, .channel = 5}));
  CHECK(client.receive_error() == EBUSY);
  REQUIRE(client.send(shm::CloseChannelRequest{.header = {}, .channel = 0}));
  CHECK(client.receive_as<shm::CloseChannelReply>());
}

TEST_CASE("hostile.client that asks twice at a time is detached") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(client.send_open_channel("silent"));
  REQUIRE(client.send_open_channel("acquirer"));
  CHECK(client.receive_error() == EPROTO);
  CHECK(client.receive()->bytes.empty());
  CHECK(server.log().wait_for("event=client_detached").find("asks again") != std::string::npos);
  server.log().wait_for("event=client_released");
}

TEST_CASE("hostile.client that the shard complains of is told the rule and released") {
  ServerProcess server;
  ControlClient client(server.path());
  ControlClient neighbour(server.path());
  REQUIRE(client.attach(server.group()));
  REQUIRE(neighbour.attach(server.group()));
  REQUIRE(client.send_open_channel("offend"));
  std::string text;
  CHECK(client.receive_error(text) == EPROTO);
  CHECK(text == "it offended");
  CHECK(client.receive()->bytes.empty());
  server.log().wait_for("event=client_released");
  REQUIRE(neighbour.send_open_channel("acquirer"));
  CHECK(neighbour.receive_as<shm::OpenChannelReply>());
}

TEST_CASE("engine.observer sees the group without being attached") {
  ServerProcess server;
  ControlClient observer(server.path());
  shm::ObserveRequest request;
  shm::set_text(request.group, server.group());
  REQUIRE(observer.send(request));
  const auto packet = observer.receive();
  shm::ObserveReply reply;
  REQUIRE(packet);
  REQUIRE(shm::read_message(*packet, reply));
  CHECK(reply.group_bytes == test::kGroupBytes);
  REQUIRE(packet->descriptors.size() == 1);
  CHECK(shm::Mapping::map(packet->descriptors[0].get(), reply.group_bytes, shm::Access::read_only));
  CHECK(!shm::Mapping::map(packet->descriptors[0].get(), reply.group_bytes, shm::Access::read_write));
  REQUIRE(observer.send(shm::ListGroupsRequest{}));
  const auto groups = observer.receive_as<shm::ListGroupsReply>();
  REQUIRE(groups);
  REQUIRE(groups->count == 2);
  CHECK(shm::text_of(groups->names[0]) == server.group());
  CHECK(shm::text_of(groups->names[1]) == "OTHER");
  shm::set_text(request.group, "NONE");
  REQUIRE(observer.send(request));
  CHECK(observer.receive_error() == ENOENT);
}
