// The examples load, and hold what their comments say.
#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "config/config_bundle.hpp"
#include "config/config_file.hpp"
#include "config/peer_rules.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

Config example(const std::string& name) {
  auto config = load(TLSMUX_SOURCE_FOLDER "/config/examples/" + name);
  REQUIRE_MESSAGE(config.has_value(), in_words(config.error()));
  return *config;
}

TEST_CASE("config.the minimal example is good") {
  const Config config = example("minimal.json");
  CHECK(config.upstreams.size() == 1);
  CHECK(config.upstreams[0].tls.verify_peer);
}

TEST_CASE("config.every example is good") {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TLSMUX_SOURCE_FOLDER "/config/examples")) {
    if (entry.path().extension() != ".json") continue;
    (void)example(entry.path().filename());
    ++count;
  }
  CHECK(count >= 4);
}

TEST_CASE("config.the acquirer example holds what its comments say") {
  const Config config = example("acquirer.json");
  REQUIRE(config.upstreams.size() == 2);
  const UpstreamSettings& acquirer = config.upstreams[0];
  CHECK(acquirer.endpoints[1].priority > acquirer.endpoints[0].priority);
  CHECK(acquirer.correlation.kind == CorrelationKind::iso8583);
  CHECK(acquirer.correlation.iso8583.fields != nullptr);
  CHECK(acquirer.sign_on.messages[0].expect.at(39) == "00");
  CHECK(acquirer.heartbeat.interval_min_ms == 300'000);
  CHECK(acquirer.auto_replies[0].match.at(70) == "301");
  CHECK(acquirer.framing.keep_alive == KeepAlive::echo);
  CHECK(config.upstreams[1].endpoints[0].host == "2001:db8::17");
  CHECK(config.upstreams[1].framing.length_encoding == LengthEncoding::ascii);
}

TEST_CASE("config.the ports example holds what its comments say") {
  const Config config = example("ports.json");
  REQUIRE(config.groups.size() == 2);
  const PortSettings& ports = config.groups[0].ports;
  CHECK(ports.static_ports[0].program == "nginx");
  CHECK(ports.static_ports[1].port > ports.dynamic[0].from);
  CHECK(ports.static_ports[1].port < ports.dynamic[0].to);
  CHECK(ports.enforcement.guard);
  CHECK(config.groups[1].ports.enforcement.holders);
  CHECK(config.upstreams[0].tcp.source_ports == "EBANKING");
}

TEST_CASE("config.the ssl_wrapper example holds what its comments say") {
  const Config config = example("ssl_wrapper.json");
  REQUIRE(config.upstreams.size() == 4);
  CHECK(config.upstreams[0].streams.kind == StreamKind::messages);
  CHECK(config.upstreams[1].framing.kind == FramingKind::http1);
  CHECK(config.upstreams[1].streams.kind == StreamKind::leased);
  CHECK(config.upstreams[2].streams.reuse == StreamReuse::always);
  CHECK(config.upstreams[3].sessions == 0);
  const auto upstream_for = [&](std::string_view name) {
    const SslWrapperRule* rule = rule_for_name(config.ssl_wrapper, name, 443);
    return rule == nullptr ? "" : rule->upstream;
  };
  CHECK(upstream_for("api.bank.example") == "api");
  CHECK(upstream_for("files.bank.example") == "any_bank_host");
  CHECK(upstream_for("bank.example") == "");
  CHECK(config.ssl_wrapper.rules[3].create);
}

TEST_CASE("config.what the acquirer example comments out is good as well") {
  std::ifstream file(TLSMUX_SOURCE_FOLDER "/config/examples/acquirer.json");
  std::string text;
  int taken_in = 0;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find_first_not_of(' ');
    const bool is_comment = first != std::string::npos && line.compare(first, 2, "//") == 0;
    const std::size_t content = is_comment ? line.find_first_not_of("/ ", first) : std::string::npos;
    if (content != std::string::npos && std::string_view("\"]").contains(line[content])) {
      line.erase(first, 2);
      ++taken_in;
    }
    text += line + "\n";
  }
  CHECK(taken_in >= 6);
  const auto bundle = make_bundle(text, [](const std::string&) { return std::string(); });
  REQUIRE(bundle.has_value());
  const auto config = load_bundle(*bundle);
  REQUIRE_MESSAGE(config.has_value(), in_words(config.error()));
  CHECK(config->upstreams[0].tls.pins.size() == 2);
  CHECK(config->upstreams[0].tcp.source_address == "192.0.2.5");
}

}  // namespace
}  // namespace tlsmux::config::test
