// An engine that dies under a program, and the program that tries again.

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/system/proc_files.hpp"
#include "tests/wrapper_system/world.hpp"

namespace tlsmux::test {
namespace {

const std::string kRequest = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
const std::string kAnswerBytes = std::to_string(kHttpHeadBytes + 5);
const std::vector<std::string> kExchange{"text", kRequest, "all", kAnswerBytes};
// As often as it reads: once an error, and then that there was one.
const std::string kEnd = "read: 0 SSL [unexpected eof while reading] shutdown 0\nread: -1 SYSCALL 0 shutdown 0\n";
const std::string kNextOne = "connect: ok\nhandshake: 1 NONE shutdown 0\ntext: ";

}  // namespace

TEST_CASE("faults.a program whose engine dies while it reads is told of an end, and may try again") {
  World world({{.protocol = Protocol::http}});
  Program program(world.script(kExchange + Calls{"hear", "read", "100", "read", "100", "hear", "free"} +
                               world.connecting() + kExchange),
                  world.environment("shared"));
  program.lines_to("hear");
  program.go();
  world.engine().kill_engine();
  CHECK(program.lines_to("hear") == kEnd + "hear\n");
  program.go();
  CHECK(program.rest().starts_with(kNextOne));
  CHECK(program.wait() == 0);
  CHECK(program.errors().empty());
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 2);
  CHECK(counts.requests == 2);
  CHECK(counts.nonsense == 0);
}

TEST_CASE("faults.a program whose engine dies while it writes is told so, and may try again") {
  World world({{.protocol = Protocol::http}});
  Program program(world.script(Calls{"text", "POST /deaf HTTP/1.1\r\nContent-Length: 90000000\r\n\r\n", "hear"} +
                               Calls{"write", "8000000", "write", "8000000", "write", "8000000", "hear", "free"} +
                               world.connecting() + kExchange),
                  world.environment("shared"));
  program.lines_to("hear");
  program.go();
  world.host().await([](const HostCounts& now) { return now.bytes > 0; });
  world.engine().kill_engine();
  const auto said = program.lines_to("hear");
  const auto last = said.rfind("write: ");
  REQUIRE(last != std::string::npos);
  CHECK_MESSAGE(said.substr(last).starts_with("write: -1 SYSCALL E"), said);
  world.host().go();  // reads, and finds the end
  program.go();
  CHECK(program.rest().starts_with(kNextOne));
  CHECK(program.wait() == 0);
  CHECK(program.errors().empty());
  const auto counts = world.host().await([](const HostCounts& now) { return now.cut_short == 1; });
  CHECK(counts.requests == 1);
  CHECK(counts.nonsense == 0);
}

TEST_CASE("faults.while there is no engine a connection is the program's own, or is refused where it must be shared") {
  World world({{.protocol = Protocol::http}});
  const auto broker = world.engine().broker_pid();
  const auto killed = world.engine().engine_pid();
  stop_process(broker);
  REQUIRE(::kill(killed, SIGKILL) == 0);
  Program may(world.exchange("first-next", 2), world.environment("auto"));
  Program must(world.script(kExchange), world.environment("shared"));
  CHECK(may.wait() == 0);
  CHECK(may.errors().starts_with("libtlsmux_ssl: a connection is not shared: "));
  CHECK(must.rest().starts_with("connect: ok\nhandshake: -1 SYSCALL ECONNREFUSED"));
  CHECK(must.wait() == 0);
  REQUIRE(::kill(broker, SIGCONT) == 0);
  world.engine().await_restart(killed);
  world.check_exchange("later-next");
  const auto counts = world.host().counts();
  CHECK(counts.handshakes == 3);  // of the engines, and the program's own
  CHECK(counts.requests == 4);
}

}  // namespace tlsmux::test
