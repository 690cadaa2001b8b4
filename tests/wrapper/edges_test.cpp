// Programs that use OpenSSL, sockets and processes in less common ways.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <tuple>

#include "tests/support/skip.hpp"
#include "tests/wrapper/loopback_listener.hpp"
#include "tests/wrapper/scene.hpp"

using namespace tlsmux::test;

namespace {

const std::string kBegin = "connect PORT ssl name host.example trust ROOT verify ";
const std::string kTalk = " text hello read 100 ";

struct Compared {
  ScriptRun own;
  ScriptRun shared;
  int streams = 0;
};

// One host and one engine, the same calls.
Compared compare(const Scene& scene, const EngineScript& script, const std::string& calls) {
  const auto command = command_of(scene, calls);
  Compared compared{.own = run(command, {}, scene.gate), .shared = {}};
  const ScriptedEngine engine(script, scene.gate.reads);
  compared.shared = run(command, preloaded(engine), scene.gate);
  compared.streams = engine.streams();
  return compared;
}

void check_same(const std::string& calls, int streams = 1) {
  const Scene scene({"echo 5", "end"});
  const auto compared = compare(scene, scene.by_address(), calls);
  CHECK(compared.own.exit_code == 0);
  CHECK(compared.shared.exit_code == 0);
  CHECK(joined(compared.shared) == joined(compared.own));
  CHECK(compared.shared.errors.empty());
  CHECK(compared.streams == streams);
}

// What it prints, with an engine that shares by address.
std::string run_shared(const std::string& calls, int relayed = 0, int streams = 1) {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done = run(command_of(scene, calls), preloaded(engine), scene.gate);
  CHECK(done.exit_code == 0);
  CHECK(done.errors.empty());
  CHECK(engine.relayed() == relayed);
  CHECK(engine.streams() == streams);
  return joined(done);
}

bool has_python() {
  if (::access("/usr/bin/python3", X_OK) == 0) return true;
  skip("there is no Python");
  return false;
}

// What the program has freed is not what it was.
std::vector<std::string> strict(std::vector<std::string> environment) {
  environment.emplace_back("MALLOC_PERTURB_=85");
  environment.emplace_back("GLIBC_TUNABLES=glibc.malloc.tcache_count=0");
  return environment;
}

// Of a port on which nobody listens, for as long as this lives.
class DeafPort {
 public:
  DeafPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  tlsmux::shm::UniqueFd socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("wrapper.a host that neither the engine nor the program can reach refuses the connection") {
  const Scene scene({"end"});
  const DeafPort port;
  auto script = scene.by_address();
  script.shared_port = port.port();
  script.refuses_streams = true;
  for (const std::string blocking : {"", "nonblock "}) {
    const ScriptedEngine engine(script, scene.gate.reads);
    const auto calls = "connect " + std::to_string(port.port()) + " " + blocking + "ssl handshake step";
    const auto done = run(command_of(scene, calls), strict(preloaded(engine)), scene.gate);
    CHECK(done.errors == "libtlsmux_ssl: a connection is not shared: the host cannot be reached\n");
    CHECK(engine.streams() == 1);
    CHECK(joined(done) ==
          "connect: ok\nhandshake: -1 SYSCALL ECONNREFUSED shutdown 0\nstep: -1 SYSCALL ECONNREFUSED shutdown 0\n");
  }
}

TEST_CASE("wrapper.SSL_connect and SSL_do_handshake take turns") {
  const Scene scene({"echo 5"}, {.waits = true});
  auto script = scene.by_address();
  script.waits = true;
  const auto compared = compare(
      scene, script,
      "connect PORT nonblock bare name host.example trust ROOT verify step do_step say g do_handshake text hello "
      "await read 10");
  CHECK(contains(joined(compared.own), "do_step: -1 WANT_READ"));
  CHECK(joined(compared.shared) == joined(compared.own));
  CHECK(compared.streams == 1);
}

TEST_CASE("wrapper.what must be shared and has no connection is refused") {
  const Scene scene({"end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done =
      run(command_of(scene, "unconnected ssl name host.example step"), preloaded(engine, "shared"), scene.gate);
  CHECK(joined(done) == "step: -1 SYSCALL ECONNREFUSED shutdown 0\n");
  CHECK(done.errors ==
        "libtlsmux_ssl: a connection is not shared: it must be, and cannot: there is no connection, or the program has "
        "spoken on it before SSL_connect\n");
}

TEST_CASE("wrapper.a connection that is still on its way is shared by name when it has come about") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.shared_port = 0;
  script.shared_name = "host.example";
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto done = run(command_of(scene,
                                   "connect_slowly ssl name host.example step take take handshake text hello "
                                   "await read 100"),
                        preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "connect_slowly: EINPROGRESS\nstep: -1 WANT_WRITE shutdown 0\nhandshake: 1 NONE"));
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(engine.streams() == 1);
}

TEST_CASE("wrapper.a verification that takes its time") {
  const std::string calls = "connect PORT ssl name host.example verify ";
  SUBCASE("accepts") { check_same(calls + "verify_later_1 step want step text hello read 100"); }
  SUBCASE("refuses") { check_same(calls + "verify_later_0 step want step step"); }
}

TEST_CASE("wrapper.threads that are cancelled") {
  SUBCASE("in the handshake") { check_same(kBegin + "thread cancelled step", 0); }
  SUBCASE("in reading") { check_same(kBegin + "handshake thread cancelled read 5"); }
  SUBCASE("in writing") { check_same(kBegin + "handshake thread cancelled text hello"); }
}

TEST_CASE("wrapper.a program that connects while it exits") {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const std::string once = kBegin + "handshake peer" + kTalk;
  const auto done = run(command_of(scene, once + "at_exit peer free " + once), strict(preloaded(engine)), scene.gate);
  CHECK(done.exit_code == 0);
  const auto peer = "peer: ok " + std::to_string(scene.host.port());
  CHECK(std::ranges::count_if(done.lines, [&](const std::string& line) { return line.starts_with(peer); }) == 3);
  CHECK(engine.streams() == 2);
}

TEST_CASE("wrapper.a socket that is dissolved by its program is not the engine's any more") {
  const Scene scene({"echo 5", "end"});
  const LoopbackListener other;
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto port = std::to_string(other.port());
  const auto done =
      run(command_of(scene, "bound again PORT dissolve again " + port + " peer"), preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "again: ok\ndissolve: 0\nagain: ok\npeer: ok " + port + " "));
}

TEST_CASE("wrapper.what only a handshake of one's own can say keeps a connection unshared") {
  SUBCASE("DANE, of an SSL that is copied") {
    CHECK(contains(run_shared("connect PORT ssl dane copy handshake text hello read 100", 1, 0), "\"hello\""));
  }
  SUBCASE("an engine that chooses a certificate") {
    CHECK(contains(run_shared("engine connect PORT ssl handshake text hello read 100", 1, 0), "engine: 1\n"));
  }
  SUBCASE("a key") {
    CHECK(contains(run_shared("key connect PORT ssl handshake text hello read 100", 1, 0), "\"hello\""));
  }
  SUBCASE("an extension") {
    CHECK(contains(run_shared("extension connect PORT ssl handshake text hello read 100", 1, 0), "\"hello\""));
  }
  SUBCASE("whatever is asked for a certificate, a key that both know, or a name") {
    for (const std::string by : {"context_certificate", "certificate", "context_psk", "psk", "context_session",
                                 "session", "extension", "name"}) {
      CAPTURE(by);
      const auto calls = "connect PORT ssl identity_by " + by + " handshake text hello read 100";
      CHECK(contains(run_shared(calls, 1, 0), "\"hello\""));
    }
  }
}

TEST_CASE("wrapper.a callback for an identity that is none, or that a server uses, keeps nothing unshared") {
  for (const std::string by : {"nothing", "server_extension"}) {
    CAPTURE(by);
    const auto calls = "connect PORT ssl identity_by " + by + " handshake text hello read 100";
    CHECK(contains(run_shared(calls), "\"hello\""));
  }
}

TEST_CASE("wrapper.a copy of an SSL") {
  SUBCASE("before its handshake") { check_same(kBegin + "copy handshake" + kTalk); }
  SUBCASE("after it") { check_same(kBegin + "handshake copy" + kTalk); }
  SUBCASE("of which the program has said that it shall not be shared") {
    CHECK(contains(run_shared("connect PORT ssl shared 0 copy handshake text hello read 100", 1, 0), "\"hello\""));
  }
}

TEST_CASE("wrapper.a BIO over an SSL that is shared") { check_same(kBegin + "handshake ssl_bio pending shutdown"); }

TEST_CASE("wrapper.a BIO of a socket") {
  check_same("connect PORT socket_bio name host.example handshake" + kTalk + "facts");
}

TEST_CASE("wrapper.a socket that gets another number in the middle of its session") {
  check_same(kBegin + "handshake text hello await move read 100 pending");
}

TEST_CASE("wrapper.a program that stores its session and offers it elsewhere") {
  const auto text = run_shared(
      kBegin + "handshake" + kTalk + "keep free " + kBegin + "shared 0 offer handshake" + kTalk + "facts", 1);
  CHECK(contains(text, "offer: 1\nhandshake: 1 NONE"));
  CHECK(contains(text, "reused 0"));
}

TEST_CASE("wrapper.SSL_write_ex2 of OpenSSL 3.3") {
  CHECK(contains(run_shared(kBegin + "handshake write_ex2 read 100"), "write_ex2: 1 5\nread: 5"));
}

TEST_CASE("wrapper.what it has to say is a line on standard error, if that is one") {
  const Scene scene({"echo 5", "end"});
  const std::string wrong = "libtlsmux_ssl: TLSMUX_SSL is neither shared nor unshared nor auto: taken as auto\n";
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const std::string calls = kBegin + "handshake" + kTalk;
  const auto said = run(command_of(scene, calls), preloaded(engine, "sharde"), scene.gate);
  CHECK(contains(joined(said), "\"hello\""));
  CHECK(said.errors == wrong);
  CHECK(engine.streams() == 1);

  const auto broken = run(command_of(scene, "broken_stderr " + calls), preloaded(engine, "sharde"), scene.gate);
  CHECK(contains(joined(broken), "handshake: 1 NONE shutdown 0"));

  const auto other =
      run(command_of(scene, "connected_stderr " + calls + "said"), preloaded(engine, "sharde"), scene.gate);
  CHECK(contains(joined(other), "said: -1\n"));
}

TEST_CASE("wrapper.a program that is linked with libssl before the wrapper is told so") {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done = run(command_of(scene, "connect PORT ssl shared 1 handshake" + kTalk, TLSMUX_SSL_LATE_SCRIPT),
                        {"TLSMUX_CONTROL_SOCKET=" + engine.control_socket()}, scene.gate);
  CHECK(contains(joined(done), "shared: 0\n"));
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(contains(done.errors, "libtlsmux_ssl: the program is linked with libssl before libtlsmux_ssl"));
  CHECK(engine.streams() == 0);
}

TEST_CASE("wrapper.who demands what cannot be is told why") {
  const Scene scene({"end"});
  const TemporaryFolder folder;
  const auto none = folder.path("none.sock");
  const auto done = run(command_of(scene, "connect PORT ssl shared 1 handshake", TLSMUX_SSL_LINKED_SCRIPT),
                        {"TLSMUX_CONTROL_SOCKET=" + none}, scene.gate);
  CHECK(contains(joined(done), "handshake: -1 SYSCALL ECONNREFUSED"));
  CHECK(done.errors ==
        "libtlsmux_ssl: a connection is not shared: no engine listens on " + none + ": is tlsmuxd running?\n");
}

TEST_CASE("wrapper.epoll tells of edges also when a rule by name leads a socket elsewhere") {
  if (!has_python()) return;
  const Scene scene({"echo 5", "notify", "end"});
  auto script = scene.by_address();
  script.shared_port = 0;
  script.shared_name = "host.example";
  const ScriptedEngine engine(script, scene.gate.reads);
  const std::vector<std::string> command{"/usr/bin/python3", "-c", R"(
import select, socket, ssl, sys
host = ("127.0.0.1", int(sys.argv[1]))
tcp = socket.socket()
tcp.setblocking(False)
edges = select.epoll()
edges.register(tcp, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
def wait():
    if not edges.poll(20): raise SystemExit("there was no edge")
def do(call, *arguments):
    while True:
        try: return call(*arguments)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError): wait()
tcp.connect_ex(host)
wait()
context = ssl.create_default_context(cafile=sys.argv[2])
tls = context.wrap_socket(tcp, server_hostname="host.example", do_handshake_on_connect=False)
do(tls.do_handshake)
print(do(tls.send, b"hello"), do(tls.recv, 100), do(tls.recv, 100), tls.getpeername() == host)
)",
                                         std::to_string(scene.host.port()), scene.certificates.root_file};
  const auto own = run(command, {}, scene.gate);
  CHECK(own.output == "5 b'hello' b'' True\n");
  const auto shared = run(command, preloaded(engine), scene.gate);
  CHECK(shared.output == own.output);
  CHECK(shared.errors == own.errors);
  CHECK(engine.streams() == 1);
}

// As bundlers do it: by another name, only for the module, and not quite the process's.
TEST_CASE("wrapper.a module that brings an OpenSSL of its own along gets that") {
  if (!has_python()) return;
  const Scene scene({"end"});
  for (const std::string first : {"", "import ssl; ssl.create_default_context()"}) {
    const auto done =
        run({"/usr/bin/python3", "-c", first + R"(
import ctypes, os, sys
folder, module = sys.argv[1:]
ctypes.CDLL("libcrypto.so.3")
place = next(line.split()[-1] for line in open("/proc/self/maps") if "libcrypto" in line)
def change(source, target):
    text = open(source, "rb").read().replace(b"libssl.so.3\0", b"libssl_.so3\0")
    open(target, "wb").write(text.replace(b"before SSL initialization", b"BEFORE SSL initialization"))
change(os.path.join(os.path.dirname(place), "libssl.so.3"), os.path.join(folder, "libssl_.so3"))
change(module, os.path.join(folder, "module.so"))
state = ctypes.CDLL(os.path.join(folder, "module.so")).state_of_new
state.restype = ctypes.c_char_p
print(state().decode())
)",
             scene.certificates.folder.path(), TLSMUX_SSL_MODULE},
            {"LD_PRELOAD=" TLSMUX_SSL_LIBRARY, "LD_LIBRARY_PATH=" + scene.certificates.folder.path()}, scene.gate);
    CHECK(done.errors.empty());
    CHECK(done.output == "BEFORE SSL initialization\n");
  }
}

TEST_CASE("wrapper.a program of another libssl is left alone") {
  const Gate gate;
  const auto done = run({TLSMUX_FOREIGN_PROGRAM}, {"LD_PRELOAD=" TLSMUX_SSL_LIBRARY}, gate);
  CHECK(done.errors.empty());
  CHECK(done.output == "42\n");
}

TEST_CASE("wrapper.the example says that its handshake failed, and no error that there was none") {
  const Gate gate;
  const LoopbackListener listener;
  const std::jthread host([&] {
    const auto accepted = listener.accept();
    std::array<char, 5> header{};
    std::ignore = ::recv(accepted.get(), header.data(), header.size(), MSG_WAITALL);
  });
  const auto done = run({TLSMUX_SSL_EXAMPLE, "127.0.0.1", std::to_string(listener.port()), "hello", "0"}, {}, gate);
  CHECK(done.exit_code == 1);
  CHECK_MESSAGE(done.errors.starts_with("the handshake failed"), done.errors);
  CHECK_MESSAGE(!done.errors.contains("Success"), done.errors);
}

TEST_CASE("wrapper.the example") {
  const Scene scene({"echo 5", "end", "notify"});
  auto script = scene.by_address();
  script.any_identity = true;
  const ScriptedEngine engine(script, scene.gate.reads);
  for (const std::string wish : {"", "1", "0"}) {
    std::vector<std::string> command{TLSMUX_SSL_EXAMPLE, "127.0.0.1", std::to_string(scene.host.port()), "hello"};
    if (!wish.empty()) command.push_back(wish);
    const auto done = run(
        command, {"TLSMUX_CONTROL_SOCKET=" + engine.control_socket(), "SSL_CERT_FILE=" + scene.certificates.root_file},
        scene.gate);
    CHECK(done.exit_code == 0);
    CHECK(done.output == "hello");
    CHECK(done.errors.starts_with(wish == "0" ? "not shared, TLSv1.3, " : "shared, TLSv1.3, "));
  }
  CHECK(engine.streams() == 2);
}
