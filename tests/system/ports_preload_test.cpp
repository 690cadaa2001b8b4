// Programs that know nothing of tlsmux get a group's ports from a real engine, under libtlsmux_ports.so.

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/ports/restless_binder.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/preloaded_program.hpp"

namespace tlsmux::test {
namespace {

const std::string kPython = "/usr/bin/python3";
const std::string kNetcat = "/usr/bin/nc.openbsd";  // nc has other options elsewhere
const std::vector<std::string> kWithoutLibrary{"LD_PRELOAD="};

ports::Port tcp_port(std::uint16_t number) { return {.protocol = ports::Protocol::tcp, .number = number}; }

bool is_in(const config::DynamicPortSettings& range, std::uint16_t port) {
  return range.from <= port && port <= range.to;
}

// The number behind the last "port " of what servers say when they begin.
std::uint16_t port_in(const std::string& line) {
  const auto found = line.rfind("port");
  REQUIRE(found != std::string::npos);
  const auto digits = line.find_first_of("0123456789", found);
  REQUIRE(digits != std::string::npos);
  return static_cast<std::uint16_t>(std::atoi(line.c_str() + digits));
}

void await_bound(const PortScene& scene, std::uint16_t port, const PreloadedProgram& program) {
  await([&] {
    const auto facts = port_facts(scene.first(), tcp_port(port));
    return facts && facts->state == shm::PortState::bound && facts->pid == static_cast<std::uint32_t>(program.pid());
  });
}

void await_free(const PortScene& scene, std::uint16_t port) {
  await([&] { return !port_facts(scene.first(), tcp_port(port)).has_value(); });
}

// The first bytes of what an HTTP server on the loopback answers.
std::string get(const PortScene& scene, std::uint16_t port) {
  std::string answer;
  scene.network().in_thread([&] {
    const shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    constexpr std::string_view kRequest = "GET / HTTP/1.0\r\n\r\n";
    if (::write(socket.get(), kRequest.data(), kRequest.size()) < 0) return;
    std::array<char, 12> bytes{};
    const auto got = ::recv(socket.get(), bytes.data(), bytes.size(), MSG_WAITALL);
    answer.assign(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  });
  return answer;
}

std::vector<std::string> http_server(std::uint16_t port, const PortScene& scene) {
  return {kPython,  "-u",        "-m",          "http.server", std::to_string(port),
          "--bind", "127.0.0.1", "--directory", scene.folder()};
}

void check_denied(const PortScene& scene, std::uint16_t port, const std::vector<std::string>& variables) {
  PreloadedProgram stranger(scene, http_server(port, scene), variables, kOutsider);
  CHECK(stranger.line_with("Errno").contains("[Errno 13]"));
  CHECK(stranger.wait() == 1);
}

}  // namespace

TEST_CASE("ports.python's http.server at port 0 serves at one of the group's") {
  if (skip_without_network_namespaces() || skip_without_program(kPython, "python3")) return;
  PortScene scene;
  PreloadedProgram server(scene, http_server(0, scene));
  const auto port = port_in(server.line_with("Serving HTTP on"));
  CHECK(is_in(kFirstRange, port));
  await_bound(scene, port, server);
  CHECK(get(scene, port) == "HTTP/1.0 200");
  server.kill();
  server.wait();
  await_free(scene, port);
  scene.stop();
}

TEST_CASE("ports.python's http.server at a port of the group is in the table, and at once back there after a SIGKILL") {
  if (skip_without_network_namespaces() || skip_without_program(kPython, "python3")) return;
  PortScene scene;
  for (int round = 0; round < 3; ++round) {
    PreloadedProgram server(scene, http_server(kFirstStatic, scene));
    CHECK(port_in(server.line_with("Serving HTTP on")) == kFirstStatic);
    await_bound(scene, kFirstStatic, server);
    CHECK(get(scene, kFirstStatic) == "HTTP/1.0 200");
    server.kill();
    server.wait();
  }
  scene.stop();
}

TEST_CASE("ports.python's http.server is refused another group's port and gets one that is nobody's") {
  if (skip_without_network_namespaces() || skip_without_program(kPython, "python3")) return;
  PortScene scene;
  PreloadedProgram refused(scene, http_server(kSecondStatic, scene), {"TLSMUX_PORTS_VERBOSE=1"});
  CHECK(refused.line_with("libtlsmux_ports").contains("port 13500/tcp is not one of the group"));
  CHECK(refused.line_with("Errno").contains("[Errno 13]"));
  CHECK(refused.wait() == 1);
  constexpr std::uint16_t kNobodys = 14'000;
  PreloadedProgram server(scene, http_server(kNobodys, scene));
  CHECK(port_in(server.line_with("Serving HTTP on")) == kNobodys);
  CHECK(get(scene, kNobodys) == "HTTP/1.0 200");
  server.kill();
  server.wait();
  scene.stop();
}

TEST_CASE("ports.nc listens at a port of the group and connects from one") {
  if (skip_without_network_namespaces() || skip_without_program(kNetcat, "netcat-openbsd")) return;
  PortScene scene;
  const auto number = std::to_string(kFirstStatic);
  PreloadedProgram listener(scene, {kNetcat, "-lnv", "127.0.0.1", number});
  CHECK(listener.line_with("Listening").contains(number));
  await_bound(scene, kFirstStatic, listener);
  PreloadedProgram caller(scene, {kNetcat, "-nN", "127.0.0.1", number}, {"TLSMUX_SOURCE_PORTS=1"});
  caller.type("hello\n");
  const auto received = listener.line_with("Connection received");
  CHECK(listener.line_with("hello") == "hello");
  const auto source = static_cast<std::uint16_t>(std::atoi(received.c_str() + received.rfind(' ')));
  CHECK(is_in(kFirstRange, source));
  await_bound(scene, source, caller);
  caller.end_of_input();
  listener.end_of_input();
  CHECK(caller.wait() == 0);
  CHECK(listener.wait() == 0);
  await_free(scene, source);
  scene.stop();
}

TEST_CASE(
    "ports.python's http.server has its port under the guard, and a stranger's is denied it, also when it was killed") {
  if (skip_without_guard() || skip_without_program(kPython, "python3")) return;
  PortScene scene(PortScene::Level::guard);
  std::uint16_t port = 0;
  for (const auto& who : {kFirstUser, kFirstByGid, kFirstBySupplement}) {
    CAPTURE(who.uid);
    PreloadedProgram server(scene, http_server(port, scene), {}, who);
    const auto got = port_in(server.line_with("Serving HTTP on"));
    if (port == 0) port = got;
    CHECK(got == port);
    CHECK(is_in(kFirstRange, port));
    await_bound(scene, port, server);
    CHECK(get(scene, port) == "HTTP/1.0 200");
    const RestlessBinder outsider(scene.rig(), kOutsider, port, EACCES);
    check_denied(scene, port, kWithoutLibrary);
    server.kill();
    server.wait();
    check_denied(scene, port, kWithoutLibrary);
    check_denied(scene, port, {});
    outsider.goes_on();
    CHECK(outsider.wrong_ones() == 0);
    await_free(scene, port);
  }
  const auto denials = port_denials(scene.first());
  CHECK(std::ranges::any_of(
      denials, [&](const DenialFacts& one) { return one.port == tcp_port(port) && one.uid == kOutsider.uid; }));
  scene.stop();
}

TEST_CASE("ports.nc listens at a low port under the guard without a privilege, and connects from a port of the group") {
  if (skip_without_guard() || skip_without_program(kNetcat, "netcat-openbsd")) return;
  PortScene scene(PortScene::Level::guard);
  const auto number = std::to_string(kLowStatic);
  PreloadedProgram listener(scene, {kNetcat, "-lnv", "127.0.0.1", number});
  CHECK(listener.line_with("Listening").contains(number));
  await_bound(scene, kLowStatic, listener);
  PreloadedProgram caller(scene, {kNetcat, "-nN", "127.0.0.1", number}, {"TLSMUX_SOURCE_PORTS=1"});
  const auto received = listener.line_with("Connection received");
  CHECK(is_in(kFirstRange, static_cast<std::uint16_t>(std::atoi(received.c_str() + received.rfind(' ')))));
  caller.end_of_input();
  listener.end_of_input();
  CHECK(caller.wait() == 0);
  CHECK(listener.wait() == 0);
  PreloadedProgram stranger(scene, {kNetcat, "-lnv", "127.0.0.1", number}, kWithoutLibrary, kRoot);
  CHECK(stranger.line_with("nc").contains("Permission denied"));
  CHECK(stranger.wait() == 1);
  scene.stop();
}

TEST_CASE("ports.a C program listens and connects from ports of the group under the guard") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  const auto script = copy_into(scene, TLSMUX_SOCKET_SCRIPT);
  PreloadedProgram server(scene, {script, "tcp", "listen", "0", "port", "0", "wait"});
  const auto port = port_in(server.line_with("port:"));
  CHECK(is_in(kFirstRange, port));  // listen without bind
  const auto number = std::to_string(port);
  PreloadedProgram caller(scene, {script, "tcp", "connect", "0", number, "port", "0"}, {"TLSMUX_SOURCE_PORTS=1"});
  const auto source = port_in(caller.line_with("port:"));
  CHECK(is_in(kFirstRange, source));
  CHECK(source != port);
  CHECK(caller.wait() == 0);
  for (const auto& call : {"bind", "connect"}) {
    CAPTURE(call);
    // Chosen by the kernel, since without the library nothing else asks for one.
    const std::string to = std::string(call) == "bind" ? "0" : number;
    PreloadedProgram plain(scene, {script, "tcp", call, "0", to, "port", "0"}, kWithoutLibrary);
    CHECK_FALSE(is_in(kFirstRange, port_in(plain.line_with("port:"))));
    CHECK(plain.wait() == 0);
  }
  PreloadedProgram stranger(scene, {script, "tcp", "bind", "0", number}, {}, kSecondUser);
  CHECK(stranger.line_with("bind") == "bind: EACCES");
  stranger.wait();
  server.kill();
  server.wait();
  scene.stop();
}

TEST_CASE("ports.a C program's port is its own until its last descriptor is closed") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  const auto script = copy_into(scene, TLSMUX_SOCKET_SCRIPT);
  PreloadedProgram program(
      scene, {script, "tcp", "listen", "0", "port", "0", "dup", "0", "close", "0", "wait", "close", "1", "wait"});
  const auto port = port_in(program.line_with("port:"));
  CHECK(is_in(kFirstRange, port));  // listen without bind
  CHECK(program.line_with("close") == "close: ok");
  await_bound(scene, port, program);
  program.type("\n");
  CHECK(program.line_with("close") == "close: ok");
  await_free(scene, port);
  program.type("\n");
  CHECK(program.wait() == 0);
  scene.stop();
}

TEST_CASE("ports.a program whose group cannot be had binds as if nothing were there") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  const auto script = copy_into(scene, TLSMUX_SOCKET_SCRIPT);
  PreloadedProgram stranger(scene, {script, "tcp", "bind", "0", "0", "port", "0"}, {"TLSMUX_PORTS_VERBOSE=1"},
                            kOutsider);
  CHECK(stranger.line_with("libtlsmux_ports").contains("not attached"));
  CHECK(stranger.line_with("bind") == "bind: ok");
  CHECK_FALSE(is_in(kFirstRange, port_in(stranger.line_with("port:"))));
  CHECK(stranger.wait() == 0);
  scene.stop();
}

}  // namespace tlsmux::test
