// The `tlsmux` command as scripts use it.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "client/cli/hex.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/client/client_fixture.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace tlsmux::test;
namespace cli = tlsmux::client::cli;

namespace {

struct Printed {
  std::string text;
  int exit_code = -1;
};

// `redirection` chooses what of the two outputs is seen.
Printed run(const std::string& before, const std::string& arguments, const std::string& redirection) {
  const auto command = before + TLSMUX_PROGRAM_FOLDER "/tlsmux " + arguments + " " + redirection;
  Printed printed;
  FILE* output = ::popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  std::array<char, 4096> part{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(part.data(), 1, part.size(), output);
    printed.text.append(part.data(), got);
  }
  printed.exit_code = WEXITSTATUS(::pclose(output));
  return printed;
}

std::string at(const FakeEngineOptions& engine) {
  return " --group " + engine.group + " --control-socket " + engine.control_socket;
}

constexpr const char* kOnlyOutput = "2>/dev/null";
constexpr const char* kOnlyErrors = "2>&1 >/dev/null";

}  // namespace

TEST_CASE("client.hexadecimal digits are read with and without separators") {
  const auto bytes = cli::from_hex("00 ff:7F\n0a");
  REQUIRE(bytes.has_value());
  CHECK(cli::to_hex(*bytes) == "00ff7f0a");
  CHECK(cli::from_hex("")->empty());
  CHECK_FALSE(cli::from_hex("0").has_value());
  CHECK_FALSE(cli::from_hex("0 0").has_value());
  CHECK_FALSE(cli::from_hex("0x00").has_value());
  const std::string text = "0123456789 abcdef\x7f";
  CHECK(cli::hex_dump(std::as_bytes(std::span(text))) ==
        "000000  30 31 32 33 34 35 36 37  38 39 20 61 62 63 64 65  0123456789 abcde\n"
        "000010  66 7f                                             f.\n");
}

TEST_CASE("client.send prints the answer and exits by the outcome") {
  const FakeEngineNames names;
  auto options = names.options();
  options.last_error = "certificate expired";
  const ForkedEngine engine(options);
  const auto there = at(options);

  auto sent = run("printf 'A\\0\\377' | ", "send HOST" + there, kOnlyOutput);
  CHECK(sent.text == std::string("A\0\xff", 3));  // raw to a pipe
  CHECK(sent.exit_code == 0);
  sent = run("", "send HOST --hex '41 0a0b' --hex-output" + there, kOnlyOutput);
  CHECK(sent.text == "410a0b\n");
  sent = run("", "send HOST --hex 41" + there, kOnlyErrors);
  CHECK(sent.text.starts_with("ANSWERED 1 bytes in "));
  sent = run("", "send HOST --hex 52" + there, kOnlyErrors);
  CHECK(sent.text.starts_with("NOT_SENT overload: the queue or the in-flight limit is full"));
  CHECK_FALSE(sent.text.contains("certificate expired"));
  CHECK(sent.exit_code == 3);
  sent = run("", "send HOST --hex 46" + there, kOnlyErrors);
  CHECK(sent.text.starts_with("NOT_SENT handshake_failed: "));
  CHECK(sent.text.contains("; the upstream's last error: certificate expired (after "));
  sent = run("", "send HOST --hex 50" + there, kOnlyErrors);
  CHECK(sent.text.starts_with("NOT_SENT unparsable: "));
  CHECK(sent.text.contains("; field 11, at byte 42 (after "));
  CHECK(
      run("", "send HOST --hex 50 --json" + there, kOnlyOutput).text.contains(R"("error_field":11,"error_offset":42)"));
  sent = run("", "send HOST --hex 4c --json" + there, kOnlyOutput);
  CHECK(sent.text.starts_with(R"({"outcome":"MAYBE_SENT","reason":"host_closed",)"));
  CHECK(sent.exit_code == 4);
  sent = run("", "send HOST --hex 41ff --json" + there, kOnlyOutput);
  CHECK(sent.text.contains(R"("answer_hex":"41ff")"));
  sent = run("", "send HOST --hex 51 --timeout-ms 10" + there, kOnlyErrors);
  CHECK(sent.text.starts_with("NOT_SENT deadline"));
}

TEST_CASE("client.send says what is wrong and exits accordingly") {
  const FakeEngineNames names;
  const auto options = names.options();
  const auto there = at(options);
  auto sent = run("", "send HOST --hex 41" + there, kOnlyErrors);
  CHECK(sent.text.contains("is tlsmuxd running?"));
  CHECK(sent.exit_code == 5);
  const ForkedEngine engine(options);
  CHECK(run("", "send HOST --hex 4x" + there, kOnlyErrors).exit_code == 2);
  CHECK(run("", "send HOST --file /no/such/file" + there, kOnlyErrors).exit_code == 2);
  CHECK(run("", "send HOST --hex 41 --file x" + there, kOnlyErrors).exit_code == 2);
  CHECK(run("", "send" + there, kOnlyErrors).exit_code == 2);
  CHECK(run("", "send HOST </dev/null" + there, kOnlyErrors).text == "tlsmux send: the message is empty\n");
  sent = run("", "send FORBIDDEN --hex 41" + there, kOnlyErrors);
  CHECK(sent.text == "tlsmux send: opening a channel to FORBIDDEN: the group may not use this upstream\n");
  CHECK(sent.exit_code == 5);
  sent = run("head -c 300 /dev/zero | ", "send HOST" + there, kOnlyErrors);
  CHECK(sent.text == "tlsmux send: not sent: the message is longer than the upstream allows\n");
  CHECK(sent.exit_code == 1);
}

TEST_CASE("client.exit codes tell a missing engine from a name that it does not know") {
  const FakeEngineNames names;
  const auto options = names.options();
  const auto socket = " --control-socket " + options.control_socket;
  for (const auto* const command : {"send HOST --hex 41 --group G", "listen HOST --late --group G", "drain HOST",
                                    "refresh", "status", "status --group G", "ports", "ports claim G dynamic"}) {
    const auto missing = run("", command + socket, kOnlyErrors);
    CHECK_MESSAGE(missing.exit_code == 5, command);
    CHECK_MESSAGE(missing.text.contains("is tlsmuxd running?"), missing.text);
  }
  const ForkedEngine engine(options);
  CHECK(run("", "send NOWHERE --hex 41" + at(options), kOnlyErrors).exit_code == 1);
  CHECK(run("", "listen NOWHERE --late" + at(options), kOnlyErrors).exit_code == 1);
  CHECK(run("", "send HOST --hex 41 --group NONE" + socket, kOnlyErrors).exit_code == 1);
  CHECK(run("", "ports claim NONE dynamic" + socket, kOnlyErrors).exit_code == 1);
}

TEST_CASE("client.mistyped commands are named") {
  const auto words = [](const std::string& arguments) {
    const auto printed = run("", arguments, kOnlyErrors);
    CHECK(printed.exit_code == 2);
    return printed.text.substr(0, printed.text.find('\n'));
  };
  CHECK(words("chekc file") == R"(no command "chekc"; did you mean "check"?)");
  CHECK(words("prots") == R"(no command "prots"; did you mean "ports"?)");
  CHECK(words("a\x1b") ==
        "no command \"a\\u001b\"; give \"check\", \"send\", \"listen\", \"drain\", \"refresh\", "
        "\"ports\" or \"status\"");
  CHECK(words("ports clam NUP dynamic") == R"(no command "clam"; did you mean "claim"?)");
  CHECK(words("check file more") == "The following argument was not expected: more");
  CHECK(words("--control-socket x status") == "options come after the command, as in: tlsmux status --json");
  CHECK_FALSE(words("ports NUP --jsn").contains("no command"));
}

TEST_CASE("client.check lists every error of a configuration") {
  const auto path = "/tmp/tlsmux-check-" + std::to_string(::getpid()) + ".json";
  FILE* file = std::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  std::fputs(R"({"groups": [{"name": "G", "memory": {"slot_bytes": 1}}], "nonsense": 1})", file);
  std::fclose(file);
  const auto checked = run("", "check " + path, kOnlyErrors);
  CHECK(checked.text.contains(path + ": /groups/0/memory/slot_bytes: "));
  CHECK(checked.text.contains("/nonsense: "));
  CHECK(checked.exit_code == 1);
  ::unlink(path.c_str());
  CHECK(run("", "check " + path, kOnlyErrors).exit_code == 1);
  CHECK(run("", "check", kOnlyErrors).exit_code == 2);
  CHECK(run("", "--version", kOnlyOutput).text == "tlsmux " TLSMUX_VERSION "\n");
}

TEST_CASE("client.check does not trust a file that others may change") {
  const tlsmux::test::TemporaryFolder folder;
  const auto path = folder.add("config.json", R"({"groups": [{"name": "G", "users": ["0"]}], "upstreams": [
    {"name": "U", "groups": ["G"], "endpoints": ["127.0.0.1:1"], "tls": {"verify_peer": false}}]})");
  CHECK(run("", "check " + path, kOnlyErrors).exit_code == 0);
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  const auto checked = run("", "check " + path, kOnlyErrors);
  CHECK(checked.text.starts_with(path + ": has mode 0666, so that others may decide which files tlsmuxd opens"));
  CHECK(checked.text.ends_with("; type: chmod go-w " + path + "\n1 error\n"));
  CHECK(checked.exit_code == 1);
}

TEST_CASE("client.check of a folder or a FIFO says that it is no file, and advises nothing about its mode") {
  const tlsmux::test::TemporaryFolder folder;
  REQUIRE(::mkfifo(folder.path("fifo").c_str(), 0666) == 0);
  REQUIRE(::chmod(folder.path("fifo").c_str(), 0666) == 0);
  for (const auto& path : {std::string("/tmp"), folder.path(), folder.path("fifo"), std::string("/dev/null")}) {
    const auto checked = run("", "check " + path, kOnlyErrors);
    CHECK(checked.text == path + ": is no file; give the path of a configuration file\n1 error\n");
    CHECK(checked.exit_code == 1);
  }
}

TEST_CASE("client.check warns of ports that somebody has who may not") {
  const tlsmux::shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in own{};
  own.sin_family = AF_INET;
  socklen_t bytes = sizeof own;
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), bytes) == 0);
  REQUIRE(::listen(socket.get(), 1) == 0);
  REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &bytes) == 0);
  const auto port = std::to_string(ntohs(own.sin_port));
  const tlsmux::test::TemporaryFolder folder;
  const auto path =
      folder.add("config.json", R"({"engine": {"control_socket": ")" + folder.path("control.sock") + R"("},
    "groups": [{"name": "G", "users": ["4000000000"], "ports": {"static": [{"port": )" +
                                    port + R"(, "label": "a"}], "enforcement": {"reservation": true}}}],
    "upstreams": [{"name": "U", "groups": ["G"], "endpoints": ["127.0.0.1:1"], "tls": {"verify_peer": false}}]})");
  const auto warned = run("", "check " + path, kOnlyErrors);
  CHECK(warned.text.starts_with(path + ": warning: port " + port + "/tcp of group G is held by "));
  CHECK(warned.text.contains("pid " + std::to_string(::getpid())));
  CHECK(run("", "check " + path, kOnlyOutput).text == path + ": no errors, 1 warning\n");
  CHECK(warned.exit_code == 0);
}

TEST_CASE("client.check warns of limits that are too small for a part of each group") {
  const tlsmux::test::TemporaryFolder folder;
  const auto path =
      folder.add("config.json", R"({"engine": {"in_flight_max": 3, "control_socket": ")" + folder.path("control.sock") +
                                    R"("}, "groups": [{"name": "A", "users": ["0"]}, {"name": "B", "users": ["0"]}],
    "upstreams": [{"name": "U", "groups": ["A", "B"], "endpoints": ["127.0.0.1:1"], "tls": {"verify_peer": false}}]})");
  const auto warned = run("", "check " + path, kOnlyErrors);
  CHECK_MESSAGE(warned.text.starts_with(path + ": warning: /engine/in_flight_max: of 3 no part is kept "), warned.text);
  CHECK(run("", "check " + path, kOnlyOutput).text == path + ": no errors, 1 warning\n");
  CHECK(warned.exit_code == 0);
}

TEST_CASE("client.ports apply says that it takes root") {
  const tlsmux::test::TemporaryFolder folder;
  const auto path =
      folder.add("config.json", R"({"engine": {"control_socket": ")" + folder.path("control.sock") + R"("},
    "groups": [{"name": "G", "users": ["0"], "ports": {"static": [{"port": 1414, "label": "a"}],
                "enforcement": {"reservation": true}}}],
    "upstreams": [{"name": "U", "groups": ["G"], "endpoints": ["127.0.0.1:1"], "tls": {"verify_peer": false}}]})",
                 0644);
  const auto as_nobody = ::geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  const auto applied = run(as_nobody, "ports apply " + path, kOnlyErrors);
  CHECK_MESSAGE(applied.text.contains("tlsmux ports apply: this takes root, and is uid "), applied.text);
  CHECK(applied.exit_code == 1);
}

TEST_CASE("client.ports are imported from a services file, and exported to one") {
  const tlsmux::test::TemporaryFolder folder;
  const std::string services = "Service EBANKING\nUser pay\nStatic 1414 TCP mqlisten\nDynamic [1000-3000] TCP,UDP\n";
  const auto imported = run("", "ports import " + folder.add("services", services), kOnlyOutput);
  CHECK(imported.exit_code == 0);
  CHECK(imported.text.starts_with("[\n  {\n    \"name\": \"EBANKING\","));
  const auto path = folder.add("config.json", "{\"groups\": " + imported.text + R"(, "upstreams": [
    {"name": "U", "groups": ["EBANKING"], "endpoints": ["127.0.0.1:1"], "tls": {"verify_peer": false}}]})");
  CHECK(run("", "ports export " + path, kOnlyOutput).text == services);

  const auto wrong = folder.add("wrong", "Service EBANKING\nUser pay\nStatic 70000 TCP mqlisten\n");
  const auto refused = run("", "ports import " + wrong, kOnlyErrors);
  CHECK(refused.text == wrong + ":3:8: a port must be a whole number between 1 and 65535, is \"70000\"\n1 error\n");
  CHECK(refused.exit_code == 1);
  CHECK(run("", "ports export " + wrong, kOnlyErrors).exit_code == 1);
  CHECK(run("", "ports import " + folder.path(), kOnlyErrors).text ==
        folder.path() + ": cannot be read: Is a directory\n1 error\n");
}

TEST_CASE("client.ports are claimed for another process, and the number stands alone on the output") {
  const FakeEngineNames names;
  auto options = names.options();
  options.ports.dynamic = {4000};
  options.ports.has_holders = true;
  ThreadEngine engine(options);
  const auto claim = "ports claim " + options.group + " dynamic:log --control-socket " + options.control_socket;
  CHECK(run("", claim + " --protocol udp --for 4711", kOnlyOutput).text == "4000\n");
  const auto refused = run("", claim, kOnlyErrors);
  CHECK(refused.text == "tlsmux ports claim: the fake engine refuses\\x09this port\n");
  CHECK(refused.exit_code == 1);
  CHECK(run("", claim + " --protocol sctp", kOnlyErrors).exit_code == 2);
  const auto claims = engine.ports().claims;
  REQUIRE(claims.size() == 2);
  CHECK(claims[0].kind == tlsmux::shm::PortClaimKind::dynamic);
  CHECK(claims[0].protocol == tlsmux::shm::kPortUdp);
  CHECK(claims[0].owner_pid == 4711);
  CHECK(claims[0].leases == 0);
  CHECK(tlsmux::shm::text_of(claims[0].label) == "log");
  CHECK(claims[1].owner_pid != 0);
}

TEST_CASE("client.listen prints notices without their payload") {
  const FakeEngineNames names;
  auto options = names.options();
  options.notices = {"U0800", "Ylate", "OL request", "OA4111111111111111"};
  const auto there = " --group " + options.group + " --control-socket " + options.control_socket;
  CHECK(run("", "listen HOST --late" + there, kOnlyErrors).exit_code == 5);
  const ForkedEngine engine(options);
  CHECK(run("", "listen HOST" + there, kOnlyErrors).exit_code == 2);
  const auto text = run("", "listen HOST --late --unsolicited --orphans --count 4" + there, kOnlyOutput);
  CHECK(text.exit_code == 0);
  CHECK(text.text ==
        "unsolicited, message 4 bytes\n"
        "late tag 4711, message 4 bytes\n"
        "orphan tag 4711 MAYBE_SENT client_died, request 10 bytes, message 0 bytes\n"
        "orphan tag 4711 ANSWERED, request 18 bytes, message 17 bytes\n");
  const auto json = run("", "listen HOST --late --count 3 --json" + there, kOnlyOutput);
  CHECK(json.text.contains(R"({"kind":"unsolicited","message_bytes":4})"
                           "\n"));
  CHECK(json.text.contains(
      R"({"kind":"orphan","tag":4711,"outcome":"MAYBE_SENT","reason":"client_died","request_bytes":10,"message_bytes":0})"
      "\n"));
  const auto warned = run("", "listen HOST --late --count 1 --hex" + there, kOnlyErrors);
  CHECK(warned.text.contains("WARNING: --hex shows PAYLOAD"));
  CHECK(run("", "listen HOST --late --count 1 --hex" + there, kOnlyOutput).text ==
        "unsolicited, message 4 bytes 30383030\n");
  CHECK(run("", "listen HOST2 --unsolicited --count 1" + there, kOnlyErrors).text ==
        "tlsmux listen: opening a channel to HOST2: the group is not the upstream's subscriber_group\n");
}
