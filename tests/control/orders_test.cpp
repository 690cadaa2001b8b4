// Orders to the engine: who may give them, and what comes of them.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

shm::DrainUpstreamRequest drain_of(std::string_view upstream, std::uint32_t timeout_ms = 0, bool resume = false) {
  shm::DrainUpstreamRequest request{.header = {}, .upstream = {}, .resume = resume ? 1U : 0U, .timeout_ms = timeout_ms};
  shm::set_text(request.upstream, upstream);
  return request;
}

void apply_refresh(const ServerProcess& server) {
  ControlClient client(server.path());
  REQUIRE(client.send(drain_of("refresh")));
  REQUIRE(client.receive_as<shm::DrainUpstreamReply>());
}

bool is_applied(ControlClient& client) {
  const auto reply = client.receive_as<shm::RefreshReply>();
  return reply && reply->result == shm::RefreshResult::applied;
}

// Returns once the server is about it.
void order_refresh(ServerProcess& server, ControlClient& client) {
  REQUIRE(client.send(shm::RefreshRequest{}));
  server.log().wait_for("event=refresh_ordered");
}

void refresh(ServerProcess& server) {
  ControlClient client(server.path());
  order_refresh(server, client);
  apply_refresh(server);
  REQUIRE(is_applied(client));
}

}  // namespace

TEST_CASE("engine.orders to drain go to the shard, and its answer comes back") {
  const ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.send(drain_of("acquirer", 7)));
  const auto drained = client.receive_as<shm::DrainUpstreamReply>();
  REQUIRE(drained);
  CHECK(drained->requests_left == 7);
  // One after the other over one connection, too.
  REQUIRE(client.send(drain_of("acquirer", 0, true)));
  std::string text;
  CHECK(client.receive_error(text) == ENOENT);
  CHECK(text == "no such upstream");
}

TEST_CASE("engine.refresh is adopted when each shard has applied it") {
  ServerProcess server({.refreshes = true, .shards = 2});
  ControlClient client(server.path());
  order_refresh(server, client);
  for (const auto* upstream : {"refresh", "refresh@1"}) {
    ControlClient operator_client(server.path());
    REQUIRE(operator_client.send(drain_of(upstream)));
    REQUIRE(operator_client.receive_as<shm::DrainUpstreamReply>());
  }
  server.log().wait_for("upstream=refresh@1");
  server.log().wait_for("event=test_adopted");
  CHECK(is_applied(client));
  CHECK(server.stop() == 0);
}

TEST_CASE("hostile.orders of members who are no operators are refused") {
  const ServerProcess server({.observers = {}});
  std::string text;
  ControlClient client(server.path());
  REQUIRE(client.send(drain_of("acquirer")));
  CHECK(client.receive_error(text) == EACCES);
  CHECK(text.starts_with("only root and the engine's user may do this"));
  REQUIRE(client.send(shm::RefreshRequest{}));
  CHECK(client.receive_error() == EACCES);
}

TEST_CASE("hostile.orders while another one is carried out end the connection") {
  const ServerProcess server;
  SUBCASE("another order") {
    ControlClient client(server.path());
    REQUIRE(client.send(drain_of("silent")));
    REQUIRE(client.send(drain_of("silent")));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("attaching") {
    ControlClient client(server.path());
    REQUIRE(client.send(drain_of("silent")));
    REQUIRE(client.send_attach(server.group()));
    CHECK(client.receive_error() == EPROTO);
  }
  SUBCASE("from a client that is attached") {
    ControlClient client(server.path());
    REQUIRE(client.attach(server.group()));
    REQUIRE(client.send(drain_of("acquirer")));
    CHECK(client.receive_error() == EPROTO);
  }
}

TEST_CASE("engine.files that expire are warned of at the start and again and again") {
  ServerProcess server({.refreshes = true, .expiry_interval = std::chrono::milliseconds(10)});
  for (const auto* warning : {"\"file 1 expires\"", "\"another does\"", "\"file 2 expires\"", "\"file 3 expires\""}) {
    const auto line = server.log().wait_for(std::string("event=config_warning warning=") + warning);
    CHECK_MESSAGE(line.contains("level=warning"), line);
  }
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.orders to refresh need a configuration file") {
  const ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.send(shm::RefreshRequest{}));
  std::string text;
  CHECK(client.receive_error(text) == ENOTSUP);
  CHECK(text == "this engine has no configuration file to read again");
}

TEST_CASE("engine.orders to refresh are carried out one at a time") {
  ServerProcess server({.refreshes = true});
  ControlClient first(server.path());
  ControlClient second(server.path());
  order_refresh(server, first);
  REQUIRE(second.send(shm::RefreshRequest{}));
  std::string text;
  CHECK(second.receive_error(text) == EAGAIN);
  CHECK(text == "another refresh is under way; try again");
  // A look at the plan would read the same files, and has to wait as well.
  REQUIRE(second.send(shm::RefreshRequest{.header = {}, .dry_run = 1}));
  CHECK(second.receive_error() == EAGAIN);
  server.send_signal(SIGHUP);
  server.log().wait_for("event=refresh_refused reason=\"another refresh is under way; try again\"");
  apply_refresh(server);
  CHECK(is_applied(first));
  REQUIRE(second.send(shm::RefreshRequest{.header = {}, .dry_run = 1}));
  const auto planned = second.receive_as<shm::RefreshReply>();
  REQUIRE(planned);
  CHECK(planned->result == shm::RefreshResult::planned);
  CHECK(server.stop() == 0);
}

TEST_CASE("engine.orders to refresh bring groups and take them away, with their clients") {
  ServerProcess server({.refreshes = true});
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    CHECK(ControlClient(server.path()).attach_error("ADDED") == ENOENT);
    refresh(server);
    ControlClient served(server.path());
    REQUIRE(served.attach("ADDED"));
    ControlClient mapping(server.path());
    REQUIRE(mapping.begin_attach("ADDED"));
    ControlClient elsewhere(server.path());
    REQUIRE(elsewhere.attach(server.group()));
    // One that comes while its group is on its way out is served for that long.
    ControlClient order(server.path());
    order_refresh(server, order);
    ControlClient latecomer(server.path());
    REQUIRE(latecomer.attach("ADDED"));
    apply_refresh(server);
    CHECK(is_applied(order));
    for (auto* client : {&served, &mapping, &latecomer}) {
      std::string text;
      CHECK(client->receive_error(text) == ENOENT);
      CHECK(text == "group ADDED was removed from the engine's configuration");
    }
    REQUIRE(elsewhere.send_open_channel("acquirer"));
    CHECK(elsewhere.receive_as<shm::OpenChannelReply>());
  }
  CHECK(server.stop() == 0);
}
