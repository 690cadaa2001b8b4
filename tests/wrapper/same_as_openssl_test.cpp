// The same calls by the same program on a TLS session of its own and on one that is shared: the same return values,
// SSL_get_error, errno, error queue and shutdown flags.
#include "tests/wrapper/scene.hpp"

using namespace tlsmux::test;

namespace {

struct Case {
  const char* name;
  std::vector<std::string> host;
  std::string calls;     // after the handshake
  std::string before{};  // and before it
};

const std::vector<Case> kCases{
    {"text", {"echo 5"}, "text hello read 100"},
    {"ex", {"echo 100"}, "write_ex 100 read_ex 100"},
    {"peek", {"send abcdef", "end"}, "await peek 3 peek_ex 100 read 2 pending peek 10 read 100"},
    {"pending", {"fill 1000", "end"}, "await pending read 10 pending want read 990 pending"},
    {"records", {"fill 100000", "end"}, "all 100000"},
    {"large write", {"sum 1000000", "end"}, "write 1000000 read 100"},
    {"negative length", {"end"}, "negative want"},
    {"write nothing", {"echo 1"}, "zero text a read 1"},
    {"read nothing", {"send abc", "end"}, "await read 0 want read 3"},
    {"handshake twice", {"end"}, "handshake do_handshake want"},
    {"close_notify", {"notify"}, "await read 100 read 100 want shutdown"},
    {"data and close_notify", {"send abc", "notify"}, "read 100 await read 100 read_ex 100 peek 5 shutdown"},
    {"close_notify and write", {"notify", "expect 3"}, "await read 100 text abc shutdown shutdown"},
    {"shutdown first", {"end", "notify"}, "shutdown shutdown text abc"},
    {"shutdown and data", {"send abc", "end", "notify"}, "shutdown read 100 read 100 shutdown"},
    {"shutdown before data is read", {"send abc", "end"}, "shutdown await shutdown"},
    {"shutdown in the middle of data", {"fill 1000", "end"}, "await read 10 shutdown shutdown"},
    {"quiet shutdown", {"end"}, "shutdown read 10 text abc", "quiet "},
    {"end of file", {"expect 3"}, "text abc await read 100 read 100"},
    {"end of file and data", {"expect 3", "send xyz", "vanish"}, "text abc read 100 await read 100 shutdown"},
    {"host ends without close_notify", {"expect 3", "send xyz", "drop"}, "text abc read 3 await read 100 read 100"},
    {"end of file ignored", {"expect 3"}, "text abc await read 100 read 100 shutdown", "ignore_eof "},
    {"end of file in shutdown", {"end"}, "shutdown await shutdown"},
    {"reset", {"expect 3", "reset"}, "text abc await read 100 read 100"},
    {"reset in the middle", {"send abc", "expect 3", "gate", "reset"}, "text abc read 3 say g await read 100"},
    {"not blocking, nothing there", {"end"}, "nonblock read 10 want read_ex 10 peek 10 pending"},
    {"not blocking, something comes",
     {"expect 1", "send abc", "end"},
     "nonblock read 10 text x await read 10 read 10 want"},
    {"not blocking, close_notify", {"gate", "notify"}, "nonblock read 10 say g await read 10 read 10 shutdown"},
    {"not blocking, reset", {"expect 3", "reset"}, "nonblock text abc await read 100 read 100"},
    {"not blocking, end of file", {"expect 3", "vanish"}, "nonblock text abc await read 100"},
    {"not blocking, shutdown", {"end", "notify"}, "nonblock shutdown await shutdown"},
    {"not blocking, shutdown waits", {"gate", "end", "notify"}, "nonblock shutdown shutdown want say g await shutdown"},
    {"not blocking, all read", {"fill 3000000", "end"}, "nonblock all 3000000"},
    {"not blocking, all written", {"sum 3000000", "end"}, "nonblock all_of 3000000 block read 100"},
    {"not blocking, parts written", {"sum 3000000", "end"}, "nonblock all_of 3000000 block read 100", "mode partial "},
    {"write would block",
     {"gate", "sum 8000000", "end"},
     "nonblock write 8000000 want moved 8000000 write 10 say g all_of 8000000 block read 100"},
    {"write would block, buffer may move",
     {"gate", "sum 8000000", "end"},
     "nonblock write 8000000 say g all_of 8000000 block read 100",
     "mode moving "},
    {"part of a write", {"sum 20000", "end"}, "write 20000 write 3616 read 100", "mode partial "},
    {"write to one that has gone", {"expect 3", "reset"}, "text abc await_end text def text def"},
    {"receive time-out", {"gate", "send abc", "end"}, "receive_timeout 30 read 10 want read 10 say g await read 10"},
    {"send time-out",
     {"gate", "sum 8000000", "end"},
     "send_timeout 30 write 8000000 want say g send_timeout 0 write 8000000 read 100"},
    {"receive time-out, by other calls",
     {"gate", "send abc", "end"},
     "receive_timeout 20 read_ex 10 want peek 10 peek_ex 10 want say g await read_ex 10"},
    {"receive time-out within data",
     {"send abc", "gate", "send def", "end"},
     "await read 2 receive_timeout 20 read 10 read 10 read_ex 10 want say g await read 10"},
    {"receive time-out in shutdown",
     {"gate", "end", "notify"},
     "receive_timeout 20 shutdown shutdown want shutdown say g await shutdown"},
    {"send time-out of write_ex",
     {"gate", "sum 8000000", "end"},
     "send_timeout 20 write_ex 8000000 want say g send_timeout 0 write_ex 8000000 read 100"},
    {"close_notify, by other calls", {"notify"}, "await read_ex 100 peek_ex 100 peek 10 want pending"},
    {"close_notify, and written to by other calls", {"notify", "expect 3"}, "await peek 10 write_ex 3 shutdown"},
    {"end of file, by other calls", {"expect 3"}, "text abc await read_ex 100 peek_ex 100 peek 10 want"},
    {"end of file, and written to", {"expect 3"}, "text abc await read 100 text def write_ex 3 shutdown"},
    {"no more is written, and data comes",
     {"end", "send abc", "notify"},
     "shutdown await read 2 read_ex 5 await read 9"},
    {"not blocking, no more is written", {"gate", "end"}, "nonblock shutdown read 10 peek_ex 10 write_ex 3 zero say g"},
    {"reset, by other calls", {"expect 3", "reset"}, "text abc await_end read_ex 100 peek_ex 100 peek 10 read 10"},
    {"reset, peeked at", {"expect 3", "reset"}, "text abc await_end peek 100 peek 100 want"},
    {"reset, written to and read",
     {"expect 3", "reset"},
     "text abc await_end write_ex 3 want read 100 text def read 9"},
    {"reset and shutdown", {"expect 3", "reset"}, "text abc await_end shutdown shutdown"},
    {"not blocking, reset while it writes",
     {"expect 3", "gate", "reset"},
     "text abc nonblock write 8000000 say g await_end write 8000000 write 8000000"},
    {"another error in the queue",
     {"echo 5", "end"},
     "stale text hello stale await read 9 nonblock stale read 9 read 9"},
    {"another error in the queue, and an end", {"notify"}, "await stale read 9 read 9 stale shutdown"},
    {"another error before the handshake", {"end"}, "want", "stale "},
    {"fork", {"echo 5"}, "fork text hello read 100"},
    {"fork before the handshake", {"echo 5"}, "text hello read 100", "fork "},
    {"thread", {"echo 5"}, "thread text hello read 100"},
    {"handshake in a thread", {"echo 5"}, "text hello read 100", "thread "},
    {"sendfile", {"end"}, "sendfile"},
    {"socket by halves", {"echo 5"}, "text hello read 100 facts"},
    {"freed", {"end"}, "free"},
};

struct Pair {
  ScriptRun own;
  ScriptRun shared;
};

// One host and one engine: what the program says by its gate is read by the one that serves it.
Pair run_both(const Case& wanted, const std::string& calls) {
  Scene scene(wanted.host);
  const auto command = command_of(scene, calls);
  Pair pair;
  pair.own = run(command, {}, scene.gate);
  REQUIRE(scene.host.connections() == 1);
  {
    const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
    pair.shared = run(command, preloaded(engine), scene.gate);
    CHECK(engine.streams() == 1);
    CHECK(engine.strangers() == 0);
  }
  CHECK(scene.host.connections() == 1);
  return pair;
}

void check_same(const Case& wanted, const std::string& calls) {
  const auto pair = run_both(wanted, calls);
  CHECK(pair.own.exit_code == 0);
  CHECK(pair.shared.exit_code == 0);
  CHECK(pair.shared.errors.empty());
  CHECK(joined(pair.shared) == joined(pair.own));
}

}  // namespace

TEST_CASE("wrapper.calls come to what OpenSSL makes of them") {
  for (const auto& one : kCases) {
    SUBCASE(one.name) {
      const std::string ssl = std::string(one.name) == "socket by halves" ? "ssl_2 " : "ssl ";
      check_same(one, "connect PORT peer " + ssl + "name host.example host host.example trust ROOT verify " +
                          one.before + "handshake peer " + one.calls);
    }
  }
}

TEST_CASE("wrapper.a socket that does not block connects and shakes hands as with OpenSSL") {
  const Case wanted{.name = "", .host = {"echo 5"}, .calls = {}};
  SUBCASE("connect") {
    check_same(wanted,
               "connect_nonblock PORT await_out peer ssl name host.example trust ROOT verify handshake peer "
               "text hello await read 100");
  }
  SUBCASE("do_handshake") {
    check_same(wanted, "connect PORT nonblock ssl name host.example do_handshake text hello await read 100");
  }
  SUBCASE("a duplicate") {
    check_same(wanted, "connect PORT dup ssl name host.example handshake peer text hello read 100");
  }
  SUBCASE("reading and writing do it") {
    check_same(wanted, "connect PORT ssl name host.example text hello read 100 facts");
  }
}

TEST_CASE("wrapper.an SSL may be used again") {
  const std::string once = " handshake text hello read 100 shutdown ";
  const std::string first = "connect PORT ssl name host.example trust ROOT verify";
  Scene scene({"echo 5", "end"});
  const auto command = command_of(scene, first + once + "clear connect PORT attach" + once + "facts");
  const auto own = run(command, {}, scene.gate);
  const ScriptedEngine engine(scene.by_address(), scene.gate.reads);
  const auto shared = run(command, preloaded(engine), scene.gate);
  CHECK(joined(shared) == joined(own));
  CHECK(engine.streams() == 2);
  CHECK(scene.host.handshakes() == 2);
}

TEST_CASE("wrapper.a handshake that waits") {
  Scene scene({"echo 5"}, {.waits = true});
  auto script = scene.by_address();
  script.waits = true;
  const auto command = command_of(scene,
                                  "connect PORT nonblock ssl name host.example trust ROOT verify step want "
                                  "read 10 step shutdown say g handshake want text hello await read 10");
  const auto own = run(command, {}, scene.gate);
  CHECK(contains(joined(own), "step: -1 WANT_READ"));
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto shared = run(command, preloaded(engine), scene.gate);
  CHECK(joined(shared) == joined(own));
  CHECK(engine.streams() == 1);
}

TEST_CASE("wrapper.a handshake that takes longer than a socket waits") {
  Scene scene({"echo 5"}, {.waits = true});
  auto script = scene.by_address();
  script.waits = true;
  const auto command = command_of(scene,
                                  "connect PORT receive_timeout 20 ssl name host.example trust ROOT verify step want "
                                  "text hello read 10 say g receive_timeout 0 handshake text hello read 10");
  const auto own = run(command, {}, scene.gate);
  CHECK(contains(joined(own), "step: -1 WANT_READ"));
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto shared = run(command, preloaded(engine), scene.gate);
  CHECK(joined(shared) == joined(own));
  CHECK(engine.streams() == 1);
}

TEST_CASE("wrapper.records may come in bytes") {
  Scene scene({"until x", "send abc", "fill 70", "notify"});
  auto script = scene.by_address();
  script.trickles = true;
  const auto command = command_of(scene,
                                  "connect PORT nonblock ssl name host.example trust ROOT verify handshake facts "
                                  "text x all 73 await_data read 100 shutdown");
  const auto own = run(command, {}, scene.gate);
  const ScriptedEngine engine(script, scene.gate.reads);
  const auto shared = run(command, preloaded(engine), scene.gate);
  CHECK(contains(joined(own), "read: 0 ZERO_RETURN shutdown 2"));
  CHECK(joined(shared) == joined(own));
  CHECK(engine.streams() == 1);
}

TEST_CASE("wrapper.a session says what OpenSSL would say of it") {
  const Case wanted{.name = "", .host = {"end"}, .calls = {}};
  check_same(wanted, "connect PORT ssl name host.example host host.example trust ROOT verify handshake facts session");
}

TEST_CASE("wrapper.verification comes to what OpenSSL's does") {
  const Case wanted{.name = "", .host = {"end"}, .calls = {}};
  const std::string begin = "connect PORT ssl name host.example ";
  const std::string end = " handshake facts step want shutdown";
  for (const std::string calls :
       {"", "trust ROOT verify", "verify", "trust ROOT host other.example verify", "trust ROOT host other.example",
        "trust ROOT verify depth 0", "accept", "trust ROOT accept", "trust ROOT refuse", "own_verify 1 verify",
        "own_verify 0 verify", "own_verify 0", "trust ROOT address 127.0.0.1 verify",
        "trust ROOT address 192.0.2.1 verify", "trust ROOT time 1000000000 verify", "trust ROOT crl verify",
        "trust ROOT stapled 1 verify", "trust ROOT host host.example host other.example verify"}) {
    SUBCASE(calls.c_str()) { check_same(wanted, begin + calls + end); }
  }
}
