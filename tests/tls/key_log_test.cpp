#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "engine/tls/key_log.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

class RememberedKeyLog final : public engine::tls::KeyLog {
 public:
  void append(std::string_view line) noexcept override { text += line; }
  std::string text;
};

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

// mbedTLS does not give away the exporter's secret, which nobody needs for decrypting records.
std::set<std::string> without_exporter(std::set<std::string> lines) {
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("EXPORTER_SECRET "); });
  return lines;
}

struct Logged {
  std::shared_ptr<RememberedKeyLog> log = std::make_shared<RememberedKeyLog>();
  std::unique_ptr<engine::tls::TlsClient> client;

  Logged() {
    auto material = trusting_material();
    material.key_log = log;
    client = make_client({}, material);
  }
};

TEST_CASE("tls.key log holds the lines that OpenSSL writes for the same TLS 1.3 session") {
  for (const std::string suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"}) {
    OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION, .suites_1_3 = suite});
    Logged logged;
    TlsPair pair(*logged.client, host);
    REQUIRE(pair.shake_hands());
    const auto lines = lines_of(logged.log->text);
    CHECK(lines.size() == 4);
    CHECK(lines == without_exporter(lines_of(host.key_log())));
    CHECK(logged.log->text.ends_with("\n"));
  }
}

TEST_CASE("tls.key log holds the line that OpenSSL writes for the same TLS 1.2 session") {
  OpenSslHost host(host_identity(), {.version_max = TLS1_2_VERSION});
  Logged logged;
  TlsPair pair(*logged.client, host);
  REQUIRE(pair.shake_hands());
  const auto lines = lines_of(logged.log->text);
  CHECK(lines.size() == 1);
  CHECK(lines == lines_of(host.key_log()));
}

TEST_CASE("tls.key log holds resumed sessions too") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    OpenSslHost host(host_identity(), {.version_min = version, .version_max = version});
    Logged logged;
    for (const bool resumed : {false, true}) {
      TlsPair pair(*logged.client, host);
      REQUIRE(pair.shake_hands());
      REQUIRE(pair.open_all());
      CHECK(pair.session().peer_facts().resumed == resumed);
      pair.session().close_notify(pair.wire());
      pair.flush();
    }
    CHECK(lines_of(logged.log->text) == without_exporter(lines_of(host.key_log())));
  }
}

TEST_CASE("tls.key log of one client has nothing of another") {
  OpenSslHost host(host_identity());
  Logged logged;
  const auto silent = make_client();
  TlsPair pair(*silent, host);
  REQUIRE(pair.shake_hands());
  CHECK_FALSE(host.key_log().empty());
  CHECK(logged.log->text.empty());
}

TEST_CASE("tls.key log lines have the form that others read") {
  RememberedKeyLog log;
  std::array<std::uint8_t, 32> random{};
  random.fill(0x0a);
  const std::array<std::uint8_t, 3> secret = {0x00, 0x7f, 0xff};
  engine::tls::log_secret(log, "CLIENT_RANDOM", random, secret);
  std::string digits;
  for (int i = 0; i < 32; ++i) digits += "0a";
  CHECK(log.text == "CLIENT_RANDOM " + digits + " 007fff\n");
}

}  // namespace
}  // namespace tlsmux::test
