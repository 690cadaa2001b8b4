// The rules for the rules of ssl_wrapper.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/check/config_check.hpp"
#include "config/iso8583/iso8583_spec_json.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

struct Broken {
  std::function<void(Config&)> change;
  std::string error;  // POINTER: message
};

// An upstream for messages, one for HTTP, and a rule of each kind.
Config good() {
  Config config = parsed(good_json());
  UpstreamSettings web = config.upstreams[0];
  web.name = "web";
  web.framing = {.kind = FramingKind::http1};
  web.correlation = {};
  web.streams.kind = StreamKind::leased;
  web.sessions = 0;
  web.sessions_max = 8;
  config.upstreams.push_back(web);
  config.ssl_wrapper.rules = {
      {.address = "192.0.2.0/24", .name = {}, .port = 5000, .upstream = "acquirer", .any_identity = true},
      {.address = {}, .name = "*.bank.example", .upstream = "web", .create = true},
  };
  return config;
}

SslWrapperRule& by_address(Config& config) { return config.ssl_wrapper.rules[0]; }
SslWrapperRule& by_name(Config& config) { return config.ssl_wrapper.rules[1]; }

CorrelationSettings iso8583() {
  CorrelationSettings correlation{.kind = CorrelationKind::iso8583, .mask = {}, .iso8583 = {}};
  correlation.iso8583.spec = "1987_ascii";
  correlation.iso8583.fields =
      std::make_shared<const Iso8583Spec>(parse_iso8583_spec(built_in_iso8583_spec("1987_ascii").value()).value());
  return correlation;
}

const std::vector<Broken> kBroken = {
    {[](Config& config) { by_address(config).address.clear(); },
     "/ssl_wrapper/rules/0: says of no connection that it is to be shared; give an address, or a name"},
    {[](Config& config) { by_address(config).name = "host.example"; },
     "/ssl_wrapper/rules/0/name: there is an address as well; a rule is by one of the two, so remove one, or make two "
     "rules"},
    {[](Config& config) { by_address(config).address = "192.0.2.1/24"; },
     "/ssl_wrapper/rules/0/address: has bits behind its prefix, is \"192.0.2.1/24\"; did you mean \"192.0.2.0/24\"?"},
    {[](Config& config) { by_name(config).name = "bank.*"; },
     "/ssl_wrapper/rules/1/name: may hold \"*\" in the place of the first labels only, as in \"*.bank.example\", is "
     "\"bank.*\""},
    {[](Config& config) { by_address(config).port = 0; },
     "/ssl_wrapper/rules/0/port: must be between 1 and 65535, is 0"},
    {[](Config& config) { by_address(config).upstream.clear(); },
     "/ssl_wrapper/rules/0/upstream: must be a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\", is empty"},
    {[](Config& config) { by_address(config).upstream = "aquirer"; },
     "/ssl_wrapper/rules/0/upstream: no upstream is named \"aquirer\"; did you mean \"acquirer\"?"},
    // Rules that no connection reaches.
    {[](Config& config) {
       config.ssl_wrapper.rules.push_back({.address = {}, .name = "a.Bank.example", .upstream = "web"});
     },
     "/ssl_wrapper/rules/2: is never reached: /ssl_wrapper/rules/1 fits all that it could fit, and the first that fits "
     "counts; move it before that one, or remove it"},
    {[](Config& config) {
       config.ssl_wrapper.rules.push_back({.address = "192.0.2.9", .name = {}, .port = 5000, .upstream = "web"});
     },
     "/ssl_wrapper/rules/2: is never reached: /ssl_wrapper/rules/0 fits all that it could fit, and the first that fits "
     "counts; move it before that one, or remove it"},
    // Upstreams that are made.
    {[](Config& config) {
       by_name(config).create = false;
       by_address(config).create = true;
     },
     "/ssl_wrapper/rules/0/create: needs a rule by name: an upstream is made for each name"},
    {[](Config& config) { by_name(config).upstream = "acquirer"; },
     "/ssl_wrapper/rules/1/create: needs a model whose streams are leased; set /upstreams/0/streams/kind to "
     "\"leased\""},
    {[](Config& config) { config.upstreams[1].tls.server_name = "www.bank.example"; },
     "/ssl_wrapper/rules/1/create: the model has a server name, which would be that of all that are made from it; "
     "remove /upstreams/1/tls/server_name"},
    {[](Config& config) {
       config.upstreams[1].framing = config.upstreams[0].framing;
       config.upstreams[1].heartbeat.idle_ms = 60'000;
       config.upstreams[1].heartbeat.message.mti = "0800";
       config.upstreams[1].heartbeat.message.fields = {{41, "1"}, {11, "1"}};
       config.upstreams[1].correlation = iso8583();
     },
     "/ssl_wrapper/rules/1/create: the model has messages of the engine's own, which are for one host; remove its "
     "sign_on, sign_off, auto_replies, and heartbeat.message"},
    {[](Config& config) {
       config.groups[0].ports.dynamic = {{.from = 5000, .to = 5100}};
       config.upstreams[1].tcp.source_ports = config.groups[0].name;
     },
     "/ssl_wrapper/rules/1/create: the model's ports would be too few for all that are made from it; remove "
     "/upstreams/1/tcp/source_ports"},
    {[](Config& config) { config.ssl_wrapper.created_max = 0; },
     "/ssl_wrapper/created_max: is 0, so that rules with create could make nothing; raise it"},
    {[](Config& config) { config.ssl_wrapper.created_max = 255; },
     "/ssl_wrapper/created_max: is 255, with which there could be 257 upstreams; the most is 256; lower it"},
    {[](Config& config) { config.ssl_wrapper.created_max = 127; },
     "/ssl_wrapper/created_max: is 127, with which all upstreams together could have 1026 sessions; the most is 1024; "
     "lower it, or \"sessions\" or \"sessions_max\" of the model"},
    {[](Config& config) {
       by_name(config).create = false;
       config.ssl_wrapper.created_max = 5;
     },
     "/ssl_wrapper/created_max: means nothing without a rule with create; remove it"},
    // The listener.
    {[](Config& config) {
       config.ssl_wrapper.rules.clear();
       config.ssl_wrapper.listener_port = 4000;
     },
     "/ssl_wrapper/listener_port: means nothing without rules; give some, or remove it"},
    {[](Config& config) {
       config.groups[1].ports.dynamic = {{.from = 3000, .to = 4000}};
       config.ssl_wrapper.listener_port = 4000;
     },
     "/ssl_wrapper/listener_port: port 4000 is group \"POS\"'s, by /groups/1/ports; choose another, or 0 for any"},
    {[](Config& config) {
       config.groups[0].ports.static_ports = {
           {.port = 4000, .protocol = PortProtocols::both, .label = "x", .program = {}}};
       config.ssl_wrapper.listener_port = 4000;
     },
     "/ssl_wrapper/listener_port: port 4000 is group \"EBANKING\"'s, by /groups/0/ports; choose another, or 0 for any"},
};

TEST_CASE("config.each broken rule about the SSL wrapper has one error at its pointer") {
  CHECK(in_words(check(good())) == "");
  for (const Broken& broken : kBroken) {
    CAPTURE(broken.error);
    Config config = good();
    broken.change(config);
    CHECK(in_words(check(config)) == "FILE: " + broken.error + "\n");
  }
}

TEST_CASE("config.the SSL wrapper at the edge of its rules is good") {
  const std::vector<std::function<void(Config&)>> changes = {
      [](Config& config) { config.ssl_wrapper.created_max = 126; },
      [](Config& config) {
        config.upstreams[1].sessions_max = 1;
        config.ssl_wrapper.created_max = 254;
      },
      [](Config& config) {
        by_name(config).create = false;
        by_name(config).upstream = "acquirer";  // messages over a session that a name leads to
      },
      [](Config& config) {
        config.groups[1].ports.dynamic = {{.from = 3000, .to = 4000, .protocols = PortProtocols::udp}};
        config.ssl_wrapper.listener_port = 4000;
      },
      [](Config& config) {
        config.ssl_wrapper.rules.push_back({.address = {}, .name = "*.example", .upstream = "web"});
        config.ssl_wrapper.rules.push_back({.address = {}, .name = "a.bank.example", .port = 444, .upstream = "web"});
        config.ssl_wrapper.rules.push_back({.address = "192.0.0.0/16", .name = {}, .port = 5000, .upstream = "web"});
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    Config config = good();
    changes[i](config);
    CHECK(in_words(check(config)) == "");
  }
}

TEST_CASE("config.what follows from a wrong rule or upstream is not reported again") {
  const ConfigErrors earlier = {{.pointer = "/ssl_wrapper/rules/0/address", .message = "x"},
                                {.pointer = "/upstreams/1/streams/kind", .message = "x"}};
  Config config = good();
  by_address(config).address.clear();
  config.upstreams[1].streams.kind = StreamKind::messages;
  config.upstreams[1].framing = config.upstreams[0].framing;
  config.upstreams[1].sessions = 1;
  CHECK(in_words(check(config, earlier)) == "");
  CHECK(check(config, {}).size() == 2);
}

}  // namespace
}  // namespace tlsmux::config::test
