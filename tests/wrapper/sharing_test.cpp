// Which connections are shared, and what becomes of those that cannot be.
#include <sys/socket.h>
#include <unistd.h>

#include "shm/stream_record.hpp"
#include "tests/wrapper/scene.hpp"

using namespace tlsmux::test;

namespace {

const std::string kCalls = "connect PORT ssl name host.example trust ROOT verify handshake text hello read 100 peer";
const std::string kOneLine = "libtlsmux_ssl: a connection is not shared: ";

std::size_t lines_in(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

struct Expected {
  int streams = 0;
  int relayed = 0;
  int handshakes = 0;  // of the host
  std::string says{};
};

// The program gets its answer in any case.
void check(const Expected& expected, const std::string& calls, const std::string& mode, EngineScript& script,
           const Scene& scene) {
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto before = scene.host.handshakes();
  const auto done = run(command_of(scene, calls), preloaded(engine, mode), scene.gate);
  CHECK(done.exit_code == 0);
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(contains(joined(done), "peer: ok " + std::to_string(scene.host.port())));
  CHECK(engine.streams() == expected.streams);
  CHECK(engine.relayed() == expected.relayed);
  CHECK(engine.strangers() == 0);
  CHECK(scene.host.handshakes() - before == expected.handshakes);
  if (expected.says.empty()) {
    CHECK(done.errors.empty());
  } else {
    CHECK(contains(done.errors, kOneLine + expected.says));
    CHECK(lines_in(done.errors) == 1);
  }
}

// It must be shared and cannot be.
void check_refused(const std::string& calls, EngineScript& script, const Scene& scene) {
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto before = scene.host.handshakes();
  const auto done = run(command_of(scene, calls), preloaded(engine, "shared"), scene.gate);
  CHECK(contains(joined(done), "handshake: -1 SYSCALL ECONNREFUSED"));
  CHECK(contains(joined(done), "text: -1 SYSCALL ECONNREFUSED"));
  CHECK(scene.host.handshakes() == before);
}

}  // namespace

TEST_CASE("wrapper.a rule by address leads a connection to the engine before it is made") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  check({.streams = 1}, kCalls, "", script, scene);
  check({.streams = 1}, kCalls, "auto", script, scene);
  check({.streams = 1}, kCalls, "shared", script, scene);
  CHECK(scene.host.connections() == 0);
}

TEST_CASE("wrapper.a rule by name leads a connection to the engine when the handshake begins") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.shared_port = 0;
  script.shared_name = "host.example";
  check({.streams = 1}, kCalls, "", script, scene);
  check({.streams = 1}, kCalls, "shared", script, scene);
  check({.streams = 1}, "connect_nonblock PORT await_out block" + kCalls.substr(std::string("connect PORT").size()), "",
        script, scene);
  check({.streams = 1}, "connect PORT nonblock ssl name host.example handshake text hello await read 100 peer", "",
        script, scene);
  CHECK(scene.host.connections() == 4);  // and dissolved
}

TEST_CASE("wrapper.the engine is told the name, the protocols and where the program wanted to go") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.alpn = "echo/1";
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto done = run(command_of(scene,
                                   "connect PORT ssl name host.example alpn echo/1 handshake facts text hello "
                                   "read 100"),
                        preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "alpn echo/1, name host.example"));
  CHECK(tlsmux::shm::text_of(engine.last_start().server_name) == "host.example");
  CHECK(std::string(engine.last_start().alpn.data()) == "\6echo/1");
}

TEST_CASE("wrapper.what no rule covers is not shared, or fails where it must be") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.shared_port = 1;
  check({.handshakes = 1}, kCalls, "", script, scene);
  check_refused(kCalls, script, scene);
}

TEST_CASE("wrapper.TLSMUX_SSL=unshared asks nothing") {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done = run(command_of(scene, kCalls), preloaded(engine, "unshared"), scene.gate);
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(engine.questions() == 0);
  CHECK(done.errors.empty());
}

TEST_CASE("wrapper.without an engine a connection is the program's own, or fails where it must be shared") {
  const Scene scene({"echo 5", "end"});
  const TemporaryFolder folder;
  const std::vector<std::string> environment{"LD_PRELOAD=" TLSMUX_SSL_LIBRARY,
                                             "TLSMUX_CONTROL_SOCKET=" + folder.path("none.sock")};
  const auto own = run(command_of(scene, kCalls + " free " + kCalls), environment, scene.gate);
  CHECK(contains(joined(own), "\"hello\""));
  CHECK(contains(own.errors, kOneLine));
  CHECK(lines_in(own.errors) == 1);
  CHECK(scene.host.handshakes() == 2);

  auto must = environment;
  must.emplace_back("TLSMUX_SSL=shared");
  const auto refused = run(command_of(scene, kCalls), must, scene.gate);
  CHECK(contains(joined(refused), "handshake: -1 SYSCALL ECONNREFUSED"));
  CHECK(scene.host.handshakes() == 2);
}

TEST_CASE("wrapper.an engine that does not answer is not asked again at once") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.is_silent = true;
  const ScriptedEngine engine(script, scene.gate.reads);
  // Also where signals interrupt the waiting again and again.
  const auto first = "ticking connect PORT calm" + kCalls.substr(std::string("connect PORT").size());
  const auto done = run(command_of(scene, first + " free " + kCalls), preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(lines_in(done.errors) == 1);
  CHECK(scene.host.handshakes() == 2);
  CHECK(engine.questions() == 1);
}

TEST_CASE("wrapper.where nobody expects an engine nothing is said") {
  const Scene scene({"echo 5", "end"});
  const auto own = run(command_of(scene, kCalls), {"LD_PRELOAD=" TLSMUX_SSL_LIBRARY}, scene.gate);
  CHECK(contains(joined(own), "\"hello\""));
  if (::access("/run/tlsmux/control.sock", F_OK) != 0) CHECK(own.errors.empty());
}

TEST_CASE("wrapper.whom the engine refuses gets a connection of its own, or none where it must be shared") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  std::string says;
  SUBCASE("no member") {
    script.refuses_questions = true;
    says = "you are no member";
  }
  SUBCASE("no more streams") {
    script.refuses_announcements = true;
    says = "there are as many streams";
  }
  SUBCASE("no session") {
    script.refuses_streams = true;
    says = "the host cannot be reached";
  }
  SUBCASE("the engine dies") {
    script.dies_early = true;
    says = "the engine has gone";
  }
  SUBCASE("another network namespace") {
    script.is_elsewhere = true;
    says = "the engine is in another network namespace";
  }
  for (const bool by_name : {false, true}) {
    script.shared_port = by_name ? 0 : scene.host.port();
    script.shared_name = by_name ? "host.example" : "";
    const int streams = script.refuses_streams || script.dies_early ? 1 : 0;
    check({.streams = streams, .handshakes = 1, .says = says}, kCalls, "", script, scene);
    check({.streams = streams, .handshakes = 1, .says = says},
          "connect_nonblock PORT await_out ssl name host.example handshake text hello await read 100 peer", "", script,
          scene);
    check_refused(kCalls, script, scene);
  }
}

TEST_CASE("wrapper.a session that the program would not have agreed to is not its session") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  std::string wish;
  SUBCASE("version") {
    script.tls_version = 0x0303;
    script.cipher_suite = 0xc02b;
    wish = "min 3 ";
  }
  SUBCASE("suite") { script.cipher_suite = 0x1304; }
  SUBCASE("protocol") {
    script.alpn = "other";
    wish = "alpn echo/1 ";
  }
  SUBCASE("no certificate") { script.certificates.clear(); }
  const auto calls = "connect PORT ssl name host.example " + wish + "handshake text hello read 100 peer";
  check({.streams = 1, .handshakes = 1, .says = "the engine's session is not one that this program"}, calls, "", script,
        scene);
  check_refused(calls, script, scene);
}

TEST_CASE("wrapper.who brings a certificate is on no other's session, unless the rule says so") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  const auto own = scene.certificates.root.issue({});
  const auto file = scene.certificates.folder.add("own.pem", own.certificate_pem() + own.key_pem());
  const auto calls = "connect PORT ssl name host.example certificate " + file + " handshake text hello read 100 peer";
  check({.relayed = 1, .handshakes = 1}, calls, "", script, scene);
  check_refused(calls, script, scene);
  script.any_identity = true;
  check({.streams = 1}, calls, "", script, scene);
}

TEST_CASE("wrapper.a program says itself what is shared") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  const std::string end = " handshake is_shared text hello read 100 peer";
  check({.relayed = 1, .handshakes = 1}, "connect PORT ssl shared 0" + end, "", script, scene);
  check({.streams = 1}, "connect PORT ssl shared 1" + end, "unshared", script, scene);
  check({.streams = 1}, "connect PORT ssl shared 0 shared -1" + end + " shared 0", "", script, scene);
  script.shared_port = 1;
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto done = run(command_of(scene, "connect PORT ssl shared 1" + end), preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "handshake: -1 SYSCALL ECONNREFUSED"));
  CHECK(contains(joined(done), "is_shared: 0"));
}

TEST_CASE("wrapper.connecting again to a host that refuses, and to one that does not") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  script.refuses_announcements = true;
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto calls = "connect_nonblock PORT await_out again PORT again PORT block ssl handshake text hello read 100";
  const auto refused = run(command_of(scene, calls), preloaded(engine), scene.gate);
  CHECK(contains(joined(refused), "again: EISCONN\nhandshake"));
  CHECK(contains(joined(refused), "\"hello\""));
  CHECK(scene.host.handshakes() == 1);
  CHECK(engine.questions() == 2);  // the first connect's

  const ScriptedEngine willing(scene.by_address(), scene.gate.reads);
  const auto shared = run(command_of(scene, calls), preloaded(willing), scene.gate);
  CHECK(joined(shared) == joined(refused));
  CHECK(willing.streams() == 1);
  CHECK(willing.questions() == 2);
}

TEST_CASE("wrapper.a program that is linked with the wrapper") {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done = run(command_of(scene, kCalls + " is_shared", TLSMUX_SSL_LINKED_SCRIPT),
                        {"TLSMUX_CONTROL_SOCKET=" + engine.control_socket()}, scene.gate);
  CHECK(contains(joined(done), "\"hello\""));
  CHECK(contains(joined(done), "is_shared: 1"));
  CHECK(engine.streams() == 1);
}

TEST_CASE("wrapper.whoever demands a stapled response gets it from the host or not at all") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto done =
      run(command_of(scene, "connect PORT ssl name host.example stapled 0 handshake"), preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "handshake: -1 SSL [invalid status response]"));
  CHECK(engine.streams() == 1);
  CHECK(scene.host.connections() == 1);
}

TEST_CASE("wrapper.sockets that are bound, and IPv6") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  const auto end = kCalls.substr(std::string("connect PORT").size());
  check({.streams = 1}, "connect_from 127.0.0.2 127.0.0.1 PORT" + end, "", script, scene);
  check({.streams = 1}, "connect_from :: ::1 PORT" + end, "", script, scene);
  check({.streams = 1}, "connect_from :: ::ffff:127.0.0.1 PORT" + end, "", script, scene);
  script.shared_port = 0;
  script.shared_name = "host.example";
  check({.streams = 1}, "connect_from 127.0.0.2 127.0.0.1 PORT" + end, "", script, scene);
  check({.streams = 1}, "connect_from :: ::ffff:127.0.0.1 PORT" + end, "", script, scene);
}

TEST_CASE("wrapper.BIOs other than a socket's are left to OpenSSL") {
  const Scene scene({"echo 5", "end"});
  auto script = scene.by_address();
  check({.relayed = 1, .handshakes = 1}, "connect PORT ssl own_bio handshake text hello read 100 peer", "", script,
        scene);
}

TEST_CASE("wrapper.an SSL behind a BIO is left to OpenSSL") {
  const Scene scene({"echo 5", "end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done = run(command_of(scene, "connect PORT ssl ssl_bio"), preloaded(engine), scene.gate);
  CHECK(joined(done) == "connect: ok\nssl_bio: 1 5 asked\n");
  CHECK(engine.relayed() == 1);
  CHECK(scene.host.handshakes() == 1);
}

TEST_CASE("wrapper.what only a session of one's own has fails on a shared one") {
  const Scene scene({"end"});
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto done =
      run(command_of(scene, "connect PORT ssl handshake export renegotiate key_update"), preloaded(engine), scene.gate);
  CHECK(joined(done) ==
        "connect: ok\nhandshake: 1 NONE shutdown 0\nexport: 0, finished 0\n"
        "renegotiate: 0 SSL [unsupported] shutdown 0\nkey_update: 0 SSL [unsupported] shutdown 0\n");
}

TEST_CASE("wrapper.the certificates of an engine that is somebody else are refused") {
  const Scene scene({"end"});
  auto script = scene.by_address();
  const Authority other("Root");
  const auto impostor = other.issue({});
  script.certificates = {&impostor};
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto done = run(command_of(scene, kCalls), preloaded(engine), scene.gate);
  CHECK(contains(joined(done), "handshake: -1 SSL"));
  CHECK(contains(joined(done), "[certificate verify failed]"));
  CHECK(scene.host.handshakes() == 0);
}
