// Claims, leases and releases, without sockets.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "client/ports/port_type.hpp"
#include "tests/client/port_fixture.hpp"

using namespace tlsmux::test;
namespace client = tlsmux::client;
namespace shm = tlsmux::shm;

namespace {

FakeEngineOptions with_ports(FakeEngineOptions options, std::uint16_t count, std::uint32_t leases) {
  for (std::uint16_t i = 0; i < count; ++i) options.ports.dynamic.push_back(static_cast<std::uint16_t>(2000 + i));
  options.ports.static_port = 1443;
  options.ports.leases = leases;
  return options;
}

}  // namespace

TEST_CASE("ports.a port type is a kind and perhaps a label") {
  using client::PortType;
  using client::read_port_type;
  CHECK(read_port_type("dynamic") == PortType{.kind = shm::PortClaimKind::dynamic});
  CHECK(read_port_type("static") == PortType{.kind = shm::PortClaimKind::labelled});
  CHECK(read_port_type("dynamic:journal") == PortType{.kind = shm::PortClaimKind::dynamic, .label = "journal"});
  CHECK(read_port_type("static:a:b") == PortType{.kind = shm::PortClaimKind::labelled, .label = "a:b"});
  const std::string longest(63, 'x');
  CHECK(read_port_type("static:" + longest).has_value());
  for (const auto& wrong : {std::string(), std::string("Dynamic"), std::string("dynamic:"), std::string(":x"),
                            std::string("any"), std::string("dynamic "), "static:" + longest + "x"}) {
    CAPTURE(wrong);
    CHECK_FALSE(read_port_type(wrong).has_value());
  }
  CHECK(client::read_protocol("tcp") == tlsmux::ports::Protocol::tcp);
  CHECK(client::read_protocol("udp") == tlsmux::ports::Protocol::udp);
  CHECK_FALSE(client::read_protocol("TCP").has_value());
}

TEST_CASE("ports.the first claim asks and the next ones take leases") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 100, 8);
  ThreadEngine engine(options);
  const PortClient attached(options);
  std::set<int> got;
  for (int i = 0; i < 5; ++i) got.insert(attached.claim());
  CHECK(got.size() == 5);
  CHECK(*got.begin() == 2000);
  auto log = engine.ports();
  REQUIRE(log.claims.size() == 1);
  CHECK(log.claims[0].leases == 1);
  CHECK(log.claims[0].kind == shm::PortClaimKind::dynamic);
  CHECK(log.claims[0].protocol == shm::kPortTcp);
  // Four of eight are taken: the engine was told, once, and has offered others.
  wait_until([&] { return engine.ports().refills == 1; });
  for (int i = 0; i < 20; ++i) got.insert(attached.claim());
  CHECK(got.size() == 25);
  CHECK(*got.begin() == 2000);
  CHECK(engine.ports().refills >= 2);
}

TEST_CASE("ports.threads of one process never get the same port") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 3000, 8);
  ThreadEngine engine(options);
  const PortClient attached(options);
  std::array<std::vector<int>, 4> got;
  std::vector<std::thread> threads;
  for (auto& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 400; ++i) mine.push_back(attached.claim());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<int> all;
  for (const auto& each : got) all.insert(each.begin(), each.end());
  CHECK(all.size() == 1600);
  CHECK(*all.begin() == 2000);
}

TEST_CASE("ports.labels and static ports are asked for, and what is refused says why") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 2, 0);
  ThreadEngine engine(options);
  const PortClient attached(options);
  CHECK(attached.claim("static:admin") == 1443);
  CHECK(attached.claim("static") == 1443);
  CHECK(attached.claim("dynamic:journal", "udp") == 2000);
  CHECK(attached.claim("static:nobody") == -ENOENT);
  CHECK(attached.claim("static:forbidden") == -EACCES);
  CHECK(last_error(attached.client) == "the fake engine refuses?this port");
  CHECK(attached.claim() == 2001);
  CHECK(attached.claim() == -EADDRINUSE);
  CHECK(attached.claim("sideways") == -EINVAL);
  CHECK(attached.claim("dynamic", "sctp") == -EINVAL);
  const auto log = engine.ports();
  REQUIRE(log.claims.size() == 7);
  CHECK(log.claims[0].kind == shm::PortClaimKind::labelled);
  CHECK(shm::text_of(log.claims[2].label) == "journal");
  CHECK(log.claims[2].protocol == shm::kPortUdp);
  CHECK(log.claims[2].leases == 0);
}

TEST_CASE("ports.a release reaches the engine once, and only for what is held") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 2);
  ThreadEngine engine(options);
  const PortClient attached(options);
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == -ENOENT);
  REQUIRE(attached.claim() == 2000);  // by an answer
  REQUIRE(attached.claim() == 2001);  // by a lease
  CHECK(tmx_client_release_port(attached.client, "udp", 2000, 0) == -ENOENT);
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == 0);
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == -ENOENT);
  CHECK(tmx_client_release_port(attached.client, "tcp", 2001, 1) == 0);
  wait_until([&] { return engine.ports().releases.size() == 2; });
  const auto log = engine.ports();
  CHECK(log.releases[0].port == 2000);
  CHECK(log.releases[0].in_use == 0);
  CHECK(log.releases[1].port == 2001);
  CHECK(log.releases[1].in_use == 1);
}

TEST_CASE("ports.an answer that comes too late is given back") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 0);
  ForkedEngine engine(options);
  const PortClient attached(options, 50);
  engine.signal(SIGSTOP);
  CHECK(attached.claim() == -ETIMEDOUT);
  CHECK(attached.claim() == -ETIMEDOUT);
  engine.signal(SIGCONT);
  int port = 0;
  wait_until([&] { return (port = attached.claim()) != -ETIMEDOUT; });
  CHECK(port >= 2001);  // the first was answered to nobody
}

TEST_CASE("ports.one claim without an answer does not keep others from waiting for theirs") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 4);
  ThreadEngine engine(options);
  const PortClient attached(options, 200);
  REQUIRE(attached.claim() == 2000);
  std::thread silent([&] { CHECK(attached.claim("dynamic:silent") == -ETIMEDOUT); });
  CHECK(attached.claim() == 2001);  // a lease asks nobody
  silent.join();
}

TEST_CASE("ports.claims and channels share the control socket") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 0, 0);
  ThreadEngine engine(options);
  const PortClient attached(options);
  std::atomic<bool> stop = false;
  std::thread claimer([&] {
    while (!stop) CHECK(attached.claim("static:admin") == 1443);
  });
  for (int i = 0; i < 50; ++i) {
    tmx_channel* channel = nullptr;
    REQUIRE(tmx_channel_open(attached.client, "HOST", &channel) == 0);
    tmx_channel* other = nullptr;
    CHECK(tmx_channel_open(attached.client, "FORBIDDEN", &other) == -EACCES);
    CHECK(attached.claim("static:forbidden") == -EACCES);
    REQUIRE(send(channel, "A", 1) == 0);
    expect(channel, 1, TMX_ANSWERED, TMX_REASON_NONE);
    CHECK(tmx_channel_close(channel) == 0);
  }
  stop = true;
  claimer.join();
}

TEST_CASE("ports.an engine that gives nonsense is left") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 0);
  ThreadEngine engine(options);
  const PortClient attached(options, 300);
  const int error = attached.claim("dynamic:nonsense");
  CHECK((error == -ETIMEDOUT || error == -ECONNREFUSED));
  CHECK(last_error(attached.client) == "the engine gave a port that makes no sense");
  wait_until([&] { return attached.claim() > 0; });
}

TEST_CASE("ports.without an engine claims fail, and the next engine is found") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 50, 8);
  auto engine = std::make_unique<ForkedEngine>(options);
  const PortClient attached(options);
  REQUIRE(attached.claim() == 2000);
  REQUIRE(attached.claim() == 2001);
  REQUIRE(attached.claim() == 2002);
  engine->kill();
  // Leases of the dead are good for a second at the most; then nobody answers.
  wait_until([&] { return attached.claim() == -ECONNREFUSED; });
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == 0);  // the next one is told
  engine = std::make_unique<ForkedEngine>(options);
  wait_until([&] { return attached.claim() > 0; });
}

TEST_CASE("ports.what is released while there is no engine is told to the next one") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 50, 0);
  auto first = std::make_unique<ForkedEngine>(options);
  const PortClient attached(options);
  REQUIRE(attached.claim() == 2000);
  first->kill();
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == 0);
  ThreadEngine second(options);
  wait_until([&] { return attached.claim() > 0; });
  const auto log = second.ports();
  REQUIRE(log.releases.size() == 1);
  CHECK(log.releases[0].port == 2000);
}

TEST_CASE("ports.what an engine had not read of releases when it died is told to the next one") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 50, 0);
  auto first = std::make_unique<ForkedEngine>(options);
  const PortClient attached(options);
  REQUIRE(attached.claim() == 2000);
  REQUIRE(attached.claim("static:admin") == options.ports.static_port);
  CHECK(tmx_client_release_port(attached.client, "tcp", options.ports.static_port, 0) == 0);
  REQUIRE(attached.claim("static:admin") == options.ports.static_port);  // it is held again
  first->signal(SIGSTOP);
  CHECK(tmx_client_release_port(attached.client, "tcp", 2000, 0) == 0);
  first->kill();
  ThreadEngine second(options);
  wait_until([&] { return attached.claim() > 0; });
  const auto log = second.ports();
  REQUIRE(log.releases.size() == 1);
  CHECK(log.releases[0].port == 2000);
}

TEST_CASE("ports.a claim that waits is asked again of the next engine") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 50, 0);
  ForkedEngine engine(options);
  ForkedEngine next_engine(options, ForkedEngine::Begins::later);
  const PortClient attached(options);
  engine.signal(SIGSTOP);
  std::thread claimer([&] { CHECK(attached.claim() == 2000); });
  engine.kill();
  next_engine.begin();
  claimer.join();
}

TEST_CASE("ports.a client that does not attach again says so") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 50, 0);
  ForkedEngine engine(options);
  const PortClient attached(options, kLongMs, TMX_NO_REATTACH);
  engine.kill();
  CHECK(attached.claim() == -ENOTCONN);
}

TEST_CASE("ports.labels are looked up without asking") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 0);
  ThreadEngine engine(options);
  const PortClient attached(options);
  std::uint16_t port = 0;
  CHECK(tmx_client_find_port(attached.client, "admin", "tcp", &port) == 0);
  CHECK(port == 1443);
  CHECK(tmx_client_find_port(attached.client, "journal", "udp", &port) == 0);
  CHECK(port == 4711);
  CHECK(tmx_client_find_port(attached.client, "admin", "udp", &port) == -ENOENT);
  CHECK(tmx_client_find_port(attached.client, "nobody", "tcp", &port) == -ENOENT);
  CHECK(tmx_client_find_port(attached.client, "", "tcp", &port) == -EINVAL);
  CHECK(tmx_client_find_port(attached.client, "admin", "dccp", &port) == -EINVAL);
  CHECK(engine.ports().claims.empty());
}

TEST_CASE("ports.a forked child does not use its parent's client") {
  const FakeEngineNames names;
  const auto options = with_ports(names.options(), 10, 4);
  ThreadEngine engine(options);
  const PortClient attached(options);
  REQUIRE(attached.claim() == 2000);
  const pid_t child = ::fork();
  if (child == 0) {
    std::uint16_t port = 0;
    const bool clean = attached.claim() == -ECHILD &&
                       tmx_client_release_port(attached.client, "tcp", 2000, 0) == -ECHILD &&
                       tmx_client_find_port(attached.client, "admin", "tcp", &port) == -ECHILD;
    ::_exit(clean ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(attached.claim() == 2001);
}
