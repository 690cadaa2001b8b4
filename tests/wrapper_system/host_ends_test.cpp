// Hosts that end a connection, or fall silent, in the middle of an answer: what the program is told.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/system/await.hpp"
#include "tests/system/group_status.hpp"
#include "tests/wrapper_system/world.hpp"

namespace tlsmux::test {
namespace {

const std::string kBody(60, 'b');

// The host's answer to it stops half way.
std::string request(const std::string& path) {
  return "POST " + path + " HTTP/1.1\r\nContent-Length: 60\r\n\r\n" + kBody;
}
const std::size_t kAnswerBytes = kHttpHeadBytes + 1 + kBody.size();  // the length has 2 digits
const auto kHalf = std::to_string(kAnswerBytes / 2);
const auto kOtherHalf = std::to_string(kAnswerBytes - kAnswerBytes / 2);

std::string message(const std::string& path, const std::string& key) {
  return "00" + std::to_string(16 + 10 + path.size()) + key + path + "          ";
}

// What a program says that asks for `path`, reads half of the answer, and makes these calls when the host has gone on.
std::string told(World& world, const std::string& mode, const std::string& path, const Calls& calls) {
  Program program(world.script(Calls{"text", request(path), "all", kHalf, "hear"} + calls), world.environment(mode));
  program.lines_to("hear");
  world.host().go();
  program.go();
  const auto said = program.rest();
  CHECK(program.wait() == 0);
  CHECK(program.errors().empty());
  return said;
}

void await_ready(World& world, std::uint32_t sessions) {
  const auto& config = world.config();
  await([&] {
    const auto facts = upstream_facts(config.groups[0].name, config.upstreams[0].name);
    return facts.sessions_ready == sessions &&
           (sessions > 0 || facts.last_error_reason == shm::Reason::connect_refused);
  });
}

}  // namespace

TEST_CASE("wrapper.a host that ends within an answer is told of as OpenSSL would") {
  World world({{.protocol = Protocol::http}});
  struct Case {
    const char* path;
    Calls calls;
  };
  const std::vector<Case> cases{
      {"/notify", {"await", "read", "100", "read", "100", "peek", "1"}},
      {"/drop", {"await", "read", "100", "read", "100"}},
      {"/drop", {"nonblock", "await", "read_ex", "100", "peek_ex", "100"}},
      {"/reset", {"await_end", "read", "100", "read", "100"}},
      {"/reset", {"await_end", "text", "more", "text", "more"}},
      {"/reset", {"nonblock", "await_end", "peek", "100", "read_ex", "100"}},
  };
  for (const auto& one : cases) {
    CAPTURE(one.path);
    const auto own = told(world, "", one.path, one.calls);
    CHECK(told(world, "shared", one.path, one.calls) == own);
    await_ready(world, 1);
  }
  world.check_exchange("first-next");
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 1 + 2 * cases.size());
  CHECK(counts.nonsense == 0);
}

TEST_CASE("wrapper.a host that falls silent within an answer is waited for as by OpenSSL") {
  World world({{.protocol = Protocol::http}});
  // While it is silent, and when the rest has come.
  for (const Calls& calls : {Calls{"nonblock", "read", "100", "peek_ex", "100", "pending", "want"},
                             Calls{"receive_timeout", "20", "read", "100", "peek", "100", "read_ex", "100", "want"}}) {
    std::vector<std::string> said;
    for (const std::string mode : {"", "shared"}) {
      Program program(world.script(Calls{"text", request("/stall"), "all", kHalf} + calls + Calls{"hear"} +
                                   Calls{"block", "receive_timeout", "0", "all", kOtherHalf, "pending"}),
                      world.environment(mode));
      auto lines = program.lines_to("hear");
      world.host().go();
      program.go();
      said.push_back(lines + program.rest());
      CHECK(program.wait() == 0);
    }
    CHECK(said[1] == said[0]);
  }
  CHECK(world.host().counts().handshakes == 1 + 2);
}

// Whoever has nothing in flight does not notice.
TEST_CASE("wrapper.a host that ends within an answer among messages ends the stream that waits for it, and no other") {
  World world({{.protocol = Protocol::messages}});
  const std::string eof = "read: 0 SSL [unexpected eof while reading] shutdown 0\n";
  const std::string reset = "read: -1 SYSCALL ECONNRESET shutdown 0\n" + eof;
  const auto whole = message("/wh", "of-somebody-else");
  const Calls exchange{"text", whole, "all", std::to_string(whole.size())};
  Program other(world.script(exchange + Calls{"hear"} + exchange), world.environment("shared"));
  other.lines_to("hear");
  std::size_t lost = 0;
  for (const auto& [path, end] :
       {std::pair<std::string, std::string>{"/notify", eof + "read: -1 SYSCALL 0 shutdown 0\n"},
        {"/drop", eof + "read: -1 SYSCALL 0 shutdown 0\n"},
        {"/reset", reset}}) {
    CAPTURE(path);
    Program program(
        world.script({"text", message(path, "of-this-one-here"), "hear", "await", "read", "100", "read", "100"}),
        world.environment("shared"));
    program.lines_to("hear");
    const auto asked = 2 + lost;
    world.host().await([&](const HostCounts& now) { return now.requests == asked; });
    world.host().go();
    program.go();
    CHECK(program.rest() == end);
    CHECK(program.wait() == 0);
    world.engine().await_sessions(1 + ++lost);
    await_ready(world, 1);
  }
  other.go();
  CHECK(other.rest().starts_with("text: 33 NONE shutdown 0\nall: 33 "));
  CHECK(other.wait() == 0);
  world.check_exchange("first-next");
  CHECK(world.host().counts().handshakes == 1 + lost);
}

TEST_CASE("faults.a program under a rule finds that its host has gone, and later that it is there again") {
  for (const auto protocol : {Protocol::messages, Protocol::http}) {
    World world({{.protocol = protocol}});
    world.stop_host();
    await_ready(world, 0);
    for (const std::string mode : {"auto", "shared"}) {
      Program program(world.script({"text", "is there anybody?"}), world.environment(mode));
      CHECK(program.rest() ==
            "connect: ok\nhandshake: -1 SYSCALL ECONNREFUSED shutdown 0\ntext: -1 SYSCALL ECONNREFUSED shutdown 0\n");
      CHECK(program.wait() == 0);
    }
    world.start_host_again();
    await_ready(world, 1);
    world.check_exchange("first-next");
    CHECK(world.host().counts().handshakes == 1);
  }
}

}  // namespace tlsmux::test
