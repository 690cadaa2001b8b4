// Opening and closing channels, looking on.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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

TEST_CASE("engine.channel is opened for who asks with the word that it has mapped") {
  for (const auto strategy : {config::IdleStrategy::power, config::IdleStrategy::balanced}) {
    ServerProcess server({.makes_spares = true, .idle_strategy = strategy});
    for (int i = 0; i < 3; ++i) {
      ControlClient client(server.path());
      const auto offer = client.begin_attach(server.group());
      REQUIRE(offer);
      auto segment = test::map_segment(*offer);
      REQUIRE(segment);
      REQUIRE(client.send(shm::MappedNotice{}));
      REQUIRE(client.send_open_channel("acquirer"));
      const auto packet = client.receive();
      shm::OpenChannelReply reply;
      REQUIRE(packet);
      REQUIRE(shm::read_message(*packet, reply));
      CHECK(reply.channel == 0);
      CHECK(reply.message_bytes_max == 99);
      REQUIRE(packet->descriptors.size() == 1);
      // The shard has it as well, sooner or later.
      pollfd wanted{.fd = packet->descriptors[0].get(), .events = POLLIN, .revents = 0};
      CHECK(::poll(&wanted, 1, 20'000) == 1);
      server.log().wait_for("event=client_attached");
      client.close();
      server.log().wait_for("event=connection_closed");
    }
    CHECK(server.stop() == 0);
  }
}

TEST_CASE("engine.channel is opened without asking the shard what it has said before") {
  ServerProcess server({.refreshes = true});
  const auto row_of = [&](ControlClient& client) {
    REQUIRE(client.send_open_channel("counted"));
    const auto reply = client.receive_as<shm::OpenChannelReply>();
    REQUIRE(reply);
    return reply->upstream;
  };
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  CHECK(row_of(client) == 0);
  CHECK(row_of(client) == 0);
  ControlClient next(server.path());
  REQUIRE(next.attach(server.group()));
  CHECK(row_of(next) == 0);
  // While the configuration is being changed, and once after it, only the shard knows.
  ControlClient operator_client(server.path());
  REQUIRE(operator_client.send(shm::RefreshRequest{}));
  server.log().wait_for("event=refresh_ordered");
  REQUIRE(operator_client.send(shm::ListGroupsRequest{}));
  REQUIRE(operator_client.receive_as<shm::ListGroupsReply>());
  CHECK(row_of(client) == 1);
  CHECK(row_of(next) == 2);
  ControlClient drainer(server.path());
  shm::DrainUpstreamRequest order;
  shm::set_text(order.upstream, "refresh");
  REQUIRE(drainer.send(order));
  REQUIRE(drainer.receive_as<shm::DrainUpstreamReply>());
  REQUIRE(operator_client.receive_as<shm::RefreshReply>());
  CHECK(row_of(client) == 3);
  CHECK(row_of(next) == 3);
  CHECK(server.stop() == 0);
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

// ---- Two shards ----

namespace {

struct OpenedChannel {
  shm::OpenChannelReply reply;
  std::vector<shm::UniqueFd> descriptors;
};

OpenedChannel open_channel(ControlClient& client, const char* upstream) {
  REQUIRE(client.send_open_channel(upstream));
  auto packet = client.receive();
  OpenedChannel opened;
  REQUIRE(packet);
  REQUIRE(shm::read_message(*packet, opened.reply));
  opened.descriptors = std::move(packet->descriptors);
  return opened;
}

void close_channel(ControlClient& client, std::uint32_t channel) {
  REQUIRE(client.send(shm::CloseChannelRequest{.header = {}, .channel = channel}));
  REQUIRE(client.receive_as<shm::CloseChannelReply>());
}

// Adds 1 to one descriptor and asks whether that shows at another.
bool are_one_eventfd(const shm::UniqueFd& one, const shm::UniqueFd& other) {
  const std::uint64_t count = 1;
  REQUIRE(::write(one.get(), &count, sizeof count) == sizeof count);
  std::uint64_t there = 0;
  return ::read(other.get(), &there, sizeof there) == sizeof there;
}

}  // namespace

TEST_CASE("engine.channel at another shard comes with that shard's doorbell, once") {
  ServerProcess server({.shards = 2});
  ControlClient client(server.path());
  const auto attached = client.attach(server.group());
  REQUIRE(attached);
  CHECK(open_channel(client, "acquirer").descriptors.size() == 1);
  // What the shard refuses has admitted the client there; its doorbell comes with what the shard opens.
  REQUIRE(client.send_open_channel("nowhere@1"));
  CHECK(client.receive_error() == ENOENT);
  const auto opened = open_channel(client, "acquirer@1");
  CHECK(opened.reply.shard == 1);
  CHECK(opened.reply.channel == 1);
  REQUIRE(opened.descriptors.size() == 2);
  CHECK_FALSE(are_one_eventfd(opened.descriptors[1], attached->offer.doorbell));
  CHECK(are_one_eventfd(opened.descriptors[1], opened.descriptors[1]));
  const auto another = open_channel(client, "acquirer@1");
  CHECK(another.reply.channel == 2);
  CHECK(another.descriptors.size() == 1);
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.channel numbers are given out over all shards") {
  ServerProcess server({.shards = 2});
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  for (std::uint32_t number = 0; number < 4; ++number) {
    CHECK(open_channel(client, number % 2 == 0 ? "acquirer" : "acquirer@1").reply.channel == number);
  }
  REQUIRE(client.send_open_channel("acquirer"));
  std::string text;
  CHECK(client.receive_error(text) == EAGAIN);
  CHECK(text ==
        "all 4 channels of the client are open: close one, attach with more, or raise memory/channels_per_client of "
        "group " +
            server.group());
  close_channel(client, 3);
  const auto moved = open_channel(client, "acquirer");
  CHECK(moved.reply.channel == 3);
  CHECK(moved.reply.shard == 0);
  close_channel(client, 0);
  CHECK(open_channel(client, "acquirer@1").reply.channel == 0);
  close_channel(client, 3);  // at the shard where it is open now
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.client at two shards is released when both have let it go") {
  test::ServerOptions options{.shards = 2};
  options.memory.clients_max = 1;
  ServerProcess server(options);
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  CHECK(open_channel(client, "acquirer").reply.shard == 0);
  CHECK(open_channel(client, "hold@1").reply.shard == 1);
  REQUIRE(client.send(shm::GoodbyeNotice{}));
  server.log().wait_for("event=client_disconnected");
  // Behind the first shard's release.
  const auto drain = [&](const char* upstream) {
    ControlClient operator_client(server.path());
    shm::DrainUpstreamRequest order;
    shm::set_text(order.upstream, upstream);
    REQUIRE(operator_client.send(order));
    CHECK(operator_client.receive_as<shm::DrainUpstreamReply>());
  };
  drain("anything");
  ControlClient next(server.path());
  CHECK(next.attach_error(server.group()) == EAGAIN);
  drain("release@1");
  server.log().wait_for("event=client_released");
  ControlClient last(server.path());
  CHECK(last.attach(server.group()));
  CHECK(server.stop() == 0);
}
