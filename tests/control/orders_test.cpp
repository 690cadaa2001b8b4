// Orders to the engine: who may give them, and what comes of them.

#include <cerrno>
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

TEST_CASE("engine.orders to refresh need a configuration file") {
  const ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.send(shm::RefreshRequest{}));
  std::string text;
  CHECK(client.receive_error(text) == ENOTSUP);
  CHECK(text == "this engine has no configuration file to read again");
}
