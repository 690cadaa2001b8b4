// HTTPS clients, each as Debian has it: the same output on connections of their own and on the engine's sessions.

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/programs/https_host.hpp"
#include "tests/programs/program_scene.hpp"
#include "tests/system/eventually.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr int kRuns = 3;

enum class Sessions : std::uint8_t {
  pooled,   // run after run the same ones
  used_up,  // shared, but its request or its host says "Connection: close"
  own,      // the program's; it gives OpenSSL a BIO of its own
};

struct Wanted {
  Sessions sessions = Sessions::pooled;
  std::uint32_t pool = 1;
  int version = TLS1_3_VERSION;
};

void check(const Program& program, const Wanted& wanted = {}) {
  const Residue residue;
  HttpsHost host(wanted.version);
  ProgramScene scene(host.port(), [&](config::UpstreamSettings& upstream) {
    upstream.framing.kind = config::FramingKind::http1;
    upstream.streams.kind = config::StreamKind::leased;
    upstream.streams.idle_max_ms = 0;
    upstream.sessions = wanted.pool;
  });
  const auto host_saw = [&](std::size_t handshakes) {
    CHECK(eventually([&] { return host.handshakes() >= handshakes; }));
    CHECK(host.handshakes() == handshakes);
  };
  std::size_t handshakes = wanted.pool;
  std::size_t sessions = wanted.pool;
  host_saw(handshakes);
  for (const auto kind : kRuleKinds) {
    CAPTURE(kind == RuleKind::by_address);
    scene.share(kind);
    const auto unshared = scene.run_unshared(program);
    const auto each = host.handshakes() - handshakes;
    CHECK(each >= 1);
    handshakes += each;
    for (int i = 0; i < kRuns; ++i) {
      scene.check_same(program, unshared);
      if (wanted.sessions != Sessions::pooled) handshakes += each;
      if (wanted.sessions == Sessions::used_up) scene.engine().await_sessions(sessions += each);
      host_saw(handshakes);
      CHECK(scene.sessions() == sessions);
    }
  }
}

// What ab says but for the times that it took, and for the key that its host has sent: of a handshake that was not its own
// it has none.
std::string constant_part(const std::string& output) {
  constexpr auto kOthers =
      std::to_array<std::string_view>({"Server Temp Key:", "Time ", "Requests per second:", "Transfer rate:"});
  std::istringstream lines(output);
  std::string kept;
  for (std::string line; std::getline(lines, line) && line != "Connection Times (ms)";) {
    const auto begins = [&](std::string_view other) { return line.starts_with(other); };
    if (std::ranges::none_of(kOthers, begins)) kept += line + "\n";
  }
  return kept;
}

Program ab(const std::vector<std::string>& options) {
  Program program{.command = {"/usr/bin/ab"}, .input = {}, .constant_part = constant_part};
  program.command.insert(program.command.end(), options.begin(), options.end());
  program.command.emplace_back("https://$HOST:$PORT/first");
  return program;
}

}  // namespace

TEST_CASE("wrapper.Python's http.client keeps the pool's session alive") {
  if (skip_without("/usr/bin/python3", "python3")) return;
  check(client_program("/usr/bin/python3", "http_client.py"));
}

TEST_CASE("wrapper.Python's urllib uses sessions up") {
  if (skip_without("/usr/bin/python3", "python3")) return;
  check(client_program("/usr/bin/python3", "urllib_request.py"), {.sessions = Sessions::used_up});
}

TEST_CASE("wrapper.Python's asyncio goes on with connections of its own") {
  if (skip_without("/usr/bin/python3", "python3")) return;
  check(client_program("/usr/bin/python3", "streams.py"), {.sessions = Sessions::own});
}

TEST_CASE("wrapper.Perl's IO::Socket::SSL keeps the pool's session alive") {
  if (skip_without("/usr/share/perl5/IO/Socket/SSL.pm", "libio-socket-ssl-perl")) return;
  check(client_program("/usr/bin/perl", "io_socket_ssl.pl"));
}

TEST_CASE("wrapper.Ruby's net/http keeps the pool's session alive") {
  if (skip_without("/usr/bin/ruby", "ruby")) return;
  check(client_program("/usr/bin/ruby", "net_http.rb"));
}

TEST_CASE("wrapper.PHP's ssl streams keep the pool's session alive") {
  if (skip_without("/usr/bin/php", "php-cli")) return;
  check(client_program("/usr/bin/php", "ssl_stream.php"));
}

TEST_CASE("wrapper.PHP's file_get_contents uses sessions up") {
  if (skip_without("/usr/bin/php", "php-cli")) return;
  check(client_program("/usr/bin/php", "https_wrapper.php"), {.sessions = Sessions::used_up});
}

TEST_CASE("wrapper.ab keeps the pool's sessions alive") {
  if (skip_without("/usr/bin/ab", "apache2-utils")) return;
  const auto options = [](const char* version) {
    return std::vector<std::string>{"-q", "-k", "-n", "40", "-c", "4", "-f", version};
  };
  SUBCASE("TLS 1.2") { check(ab(options("TLS1.2")), {.pool = 4, .version = TLS1_2_VERSION}); }
  SUBCASE("TLS 1.3") { check(ab(options("TLS1.3")), {.pool = 4, .version = TLS1_3_VERSION}); }
}

TEST_CASE("wrapper.ab without keep-alive uses sessions up") {
  if (skip_without("/usr/bin/ab", "apache2-utils")) return;
  check(ab({"-q", "-n", "5", "-f", "TLS1.3"}), {.sessions = Sessions::used_up});
}

TEST_CASE("wrapper.a C program that is linked with OpenSSL keeps the pool's session alive") {
  check({.command = {TLSMUX_GET, "$HOST", "$PORT", "$AUTHORITY"}});
}

TEST_CASE("wrapper.curl goes on with connections of its own") {
  if (skip_without("/usr/bin/curl", "curl")) return;
  check({.command = {"/usr/bin/curl", "-sS", "--cacert", "$AUTHORITY", "https://$HOST:$PORT/first",
                     "https://$HOST:$PORT/second"}},
        {.sessions = Sessions::own});
}

TEST_CASE("wrapper.openssl s_client uses sessions up") {
  if (skip_without("/usr/bin/openssl", "openssl")) return;
  check({.command = {"/usr/bin/openssl", "s_client", "-connect", "$HOST:$PORT", "-servername", "localhost", "-CAfile",
                     "$AUTHORITY", "-verify_return_error", "-quiet"},
         .input = "GET /first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"},
        {.sessions = Sessions::used_up});
}

}  // namespace tlsmux::test
