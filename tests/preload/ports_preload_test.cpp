// libtlsmux_ports.so under a program that knows nothing of it, against the fake engine.
#include <fcntl.h>
#include <sys/wait.h>

#include <cstdio>
#include <sstream>

#include "tests/client/port_fixture.hpp"

using namespace tlsmux::test;

namespace {

struct Script {
  std::vector<std::string> lines;  // in the order in which they were printed
  std::string errors;
};

const std::string kLibrary = TLSMUX_PORTS_LIBRARY;

// Runs socket_script with this library, engine and further variables of the environment.
Script run(const FakeEngineOptions& engine, const std::string& commands, const std::string& variables = {},
           const std::string& group = "TLSMUX_GROUP") {
  const std::string errors = engine.control_socket + ".stderr";
  const auto command = "env LD_PRELOAD=" + kLibrary + " TLSMUX_CONTROL_SOCKET=" + engine.control_socket + " " + group +
                       "=" + engine.group + " " + variables + " " + TLSMUX_SOCKET_SCRIPT + " " + commands + " 2>" +
                       errors;
  auto* const output = ::popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  Script script;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), output) != nullptr) {
    std::string text = line.data();
    text.pop_back();
    script.lines.push_back(text);
  }
  CHECK(::pclose(output) == 0);
  std::FILE* const said = std::fopen(errors.c_str(), "re");
  REQUIRE(said != nullptr);
  while (std::fgets(line.data(), line.size(), said) != nullptr) script.errors += line.data();
  std::fclose(said);
  ::unlink(errors.c_str());
  return script;
}

std::string port_line(std::uint16_t port) { return "port: " + std::to_string(port); }

FakeEngineOptions with_free_ports(const FakeEngineNames& names, std::size_t count) {
  auto options = names.options();
  auto ports = free_ports(count + 2);
  options.ports.static_port = ports[count];
  options.ports.foreign_port = ports[count + 1];
  ports.resize(count);
  options.ports.dynamic = std::move(ports);
  options.ports.leases = 2;
  return options;
}

}  // namespace

TEST_CASE("ports.preload gives a bind to port 0 one of the group's") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto script = run(options, "tcp bind 0 0 port 0 listen 0 tcp6 bind 1 0 port 1 udp bind 2 0 port 2");
  REQUIRE(script.lines.size() == 10);
  CHECK(script.lines[2] == port_line(options.ports.dynamic[0]));
  CHECK(script.lines[3] == "listen: ok");
  CHECK(script.lines[6] == port_line(options.ports.dynamic[1]));
  CHECK(script.lines[8] == "bind: ok");  // the table has no range of UDP ports: the engine's answer counts
  CHECK(script.errors.empty());
}

TEST_CASE("ports.preload asks for a port that the program names") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 1);
  ThreadEngine engine(options);
  const auto nobodys = free_ports(1)[0];
  const auto name = [](std::uint16_t port) { return std::to_string(port); };
  const auto script =
      run(options, "tcp bind 0 " + name(options.ports.static_port) + " port 0 tcp bind 1 " +
                       name(options.ports.foreign_port) + " port 1 tcp bind 2 " + name(nobodys) + " port 2");
  REQUIRE(script.lines.size() == 9);
  CHECK(script.lines[2] == port_line(options.ports.static_port));
  CHECK(script.lines[4] == "bind: EACCES");
  CHECK(script.lines[5] == port_line(0));
  CHECK(script.lines[7] == "bind: ok");
  CHECK(script.lines[8] == port_line(nobodys));
  CHECK(engine.ports().claims.size() == 3);
}

TEST_CASE("ports.preload leaves to the kernel what is none of its business") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto script = run(options, "unix bind 0 0 tcp bind 1 0 bind 1 0 close 1 close 1 listen 0 connect 0 0");
  REQUIRE(script.lines.size() == 9);
  CHECK(script.lines[1] == "bind: ok");
  CHECK(script.lines[3] == "bind: ok");
  CHECK(script.lines[4] == "bind: EINVAL");
  CHECK(script.lines[6] == "close: EBADF");
  CHECK(engine.ports().claims.size() == 1);
}

TEST_CASE("ports.preload without a group or an engine changes nothing and says so only if asked") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  for (const auto* const commands : {"tcp bind 0 0 listen 0 close 0 tcp listen 1", "udp bind 0 0 close 0"}) {
    const auto quiet = run(options, commands);
    CHECK(quiet.errors.empty());
    for (const auto& line : quiet.lines) CHECK(line.ends_with("ok"));
  }
  const auto told = run(options, "tcp bind 0 0", "TLSMUX_PORTS_VERBOSE=1");
  CHECK(told.lines.back() == "bind: ok");
  CHECK(told.errors.starts_with("libtlsmux_ports: not attached, so the kernel alone decides: "));
  ThreadEngine engine(options);
  CHECK(run(options, "tcp bind 0 0", {}, "TLSMUX_NO_GROUP").lines.back() == "bind: ok");
  CHECK(engine.ports().claims.empty());
}

TEST_CASE("ports.preload gives a port back with its last descriptor") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto releases_of = [&](const std::string& commands) {
    const auto before = engine.ports().releases.size();
    std::thread program([&] { run(options, commands); });
    program.join();
    // The last message of a client is read before its end.
    wait_until([&] { return engine.clients() == 0; });
    return engine.ports().releases.size() - before;
  };
  CHECK(releases_of("tcp bind 0 0") == 0);  // it just ends: the engine sees that
  CHECK(releases_of("tcp bind 0 0 close 0") == 1);
  CHECK(releases_of("udp bind 0 0 dup 0 dupfd 0 close 0 close 1") == 0);
  CHECK(releases_of("tcp bind 0 " + std::to_string(options.ports.static_port) +
                    " dup 0 dupfd 0 close 2 close 0 close 1") == 1);
  const auto again = "tcp bind 0 " + std::to_string(options.ports.static_port);
  CHECK(releases_of(again + " tcp dup2 1 0") == 1);          // replaced
  CHECK(releases_of(again + " tcp dup3 0 1 close 0") == 0);  // copied
  CHECK(releases_of(again + " tcp close 1 dup2 1 0") == 0);  // failed: the socket is still there
  CHECK(releases_of(again + " vfork 0") == 0);               // a child of a vfork closes what is its own
  CHECK(releases_of(again + " fork close 0") == 0);          // so does a forked one
}

TEST_CASE("ports.preload in a forked child attaches for itself") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 8);
  ThreadEngine engine(options);
  const auto script = run(options, "tcp bind 0 0 fork tcp bind 1 0 port 1 close 1");
  REQUIRE(script.lines.size() == 7);
  CHECK(script.lines[3] == "bind: ok");
  CHECK(script.lines[6] == "child: 0");
  CHECK(engine.ports().claims.size() == 2);
}

TEST_CASE("ports.preload gives a port to a socket that listens without bind") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto script = run(options, "tcp listen 0 port 0 tcp6 listen 1 port 1");
  REQUIRE(script.lines.size() == 6);
  CHECK(script.lines[2] == port_line(options.ports.dynamic[0]));
  CHECK(script.lines[5] == port_line(options.ports.dynamic[1]));
}

TEST_CASE("ports.preload gives connections a source port of the group if asked") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto listener = strangers_listener();
  const auto commands = "tcp connect 0 " + std::to_string(port_of(listener.get())) + " port 0";
  const auto with = run(options, commands, "TLSMUX_SOURCE_PORTS=1");
  REQUIRE(with.lines.size() == 3);
  CHECK(with.lines[1] == "connect: ok");
  CHECK(with.lines[2] == port_line(options.ports.dynamic[0]));
  const auto without = run(options, commands);
  CHECK(without.lines[1] == "connect: ok");
  CHECK(engine.ports().claims.size() == 1);
}

TEST_CASE("ports.preload says that none is free, but not for a group without a range") {
  const FakeEngineNames names;
  auto options = with_free_ports(names, 1);
  options.ports.leases = 0;
  {
    ThreadEngine engine(options);
    const auto script = run(options, "tcp bind 0 0 tcp bind 1 0 listen 1 port 1");
    CHECK(script.lines[3] == "bind: EADDRINUSE");
    CHECK(script.lines[4] == "listen: EADDRINUSE");
    CHECK(script.lines[5] == port_line(0));
  }
  options.ports.dynamic.clear();
  ThreadEngine engine(options);
  const auto script = run(options, "tcp bind 0 0 reuses 0 listen 0");
  REQUIRE(script.lines.size() == 4);
  CHECK(script.lines[1] == "bind: ok");
  CHECK(script.lines[2] == "reuses: no");  // the kernel has seen the call as the program made it
  CHECK(script.lines[3] == "listen: ok");
}

TEST_CASE("ports.preload makes no cancellation point of bind") {
  const FakeEngineNames names;
  const auto options = with_free_ports(names, 4);
  ThreadEngine engine(options);
  const auto number = std::to_string(options.ports.static_port);
  const auto script = run(options, "tcp cancel 0 " + number + " port 0 tcp cancel 1 0 port 1 reuses 1");
  REQUIRE(script.lines.size() == 7);
  CHECK(script.lines[1] == "cancel: ok");
  CHECK(script.lines[2] == port_line(options.ports.static_port));
  CHECK(script.lines[4] == "cancel: ok");
  CHECK(script.lines[5] == port_line(options.ports.dynamic[0]));
  CHECK(script.lines[6] == "reuses: yes");
}
