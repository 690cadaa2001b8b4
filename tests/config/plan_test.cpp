// What a new configuration changes, in words and for programs.
#include <doctest/doctest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "config/plan.hpp"
#include "config/plan_json.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

UpstreamSettings& upstream(Config& config) { return config.upstreams[0]; }

Config good() { return parsed(good_json()); }

template <class ChangeSettings>
std::string text_of(ChangeSettings change) {
  Config config = good();
  change(config);
  return plan_text(plan(good(), config));
}

TEST_CASE("config.a plan without changes says so") {
  CHECK(plan(good(), good()).empty());
  CHECK(plan_text({}) == "nothing changes\n");
}

TEST_CASE("config.a plan says what changes and when") {
  const std::string one = "1 change, which can be applied to a running engine\n";
  CHECK(text_of([](Config& config) { upstream(config).queue_max = 8192; }) ==
        "upstream \"acquirer\": queue_max 4096 -> 8192 (at once)\n" + one);
  CHECK(
      text_of([](Config& config) { upstream(config).tls.ca_file = "/etc/new.pem"; }) ==
      "upstream \"acquirer\": tls.ca_file \"/etc/ca.pem\" -> \"/etc/new.pem\" (sessions are replaced in good order)\n" +
          one);
  CHECK(text_of([](Config& config) { upstream(config).tls.key_log_file = "/keys"; }) ==
        "upstream \"acquirer\": tls.key_log_file \"\" -> \"/keys\" (for new sessions)\n" + one);
  CHECK(text_of([](Config& config) { upstream(config).framing.header = {0x60, 0}; }) ==
        "upstream \"acquirer\": framing.header \"\" -> \"6000\" (the upstream is drained and started anew)\n" + one);
  CHECK(text_of([](Config& config) { config.groups[1].memory.slot_bytes = 5000; }) ==
        "group \"POS\": memory.slot_bytes 4096 -> 5000 (for clients that attach from then on)\n" + one);
  CHECK(text_of([](Config& config) { upstream(config).timeouts.request_ms = 7; }) ==
        "upstream \"acquirer\": timeouts.request_ms 30000 -> 7 (for channels that are opened from then on)\n" + one);
  CHECK(text_of([](Config& config) { upstream(config).endpoints[0].weight = 5; }) ==
        "upstream \"acquirer\": endpoints[0].weight 1 -> 5 (sessions are replaced in good order)\n" + one);
  CHECK(text_of([](Config& config) { config.upstreams.emplace_back().name = "NEW"; }) ==
        "upstream \"NEW\" added (at once)\n" + one);
  CHECK(text_of([](Config& config) { config.groups.emplace_back().name = "NEW"; }) ==
        "group \"NEW\" added (at once)\n" + one);
  CHECK(text_of([](Config& config) { config.groups.pop_back(); }) ==
        "group \"POS\" removed, its clients are detached and its orphans dropped (at once)\n" + one);
}

TEST_CASE("config.a plan shows long values in part") {
  Config from = good();
  upstream(from).tls.ca_file = "/" + std::string(100, 'a');
  Config to = from;
  upstream(to).tls.ca_file += "b";
  CHECK(plan_text(plan(from, to)).starts_with("upstream \"acquirer\": tls.ca_file has changed towards its end ("));
  upstream(to).tls.ca_file = "/b";
  CHECK(plan_text(plan(from, to))
            .starts_with("upstream \"acquirer\": tls.ca_file \"/" + std::string(78, 'a') + "... -> \"/b\" ("));
}

TEST_CASE("config.a plan says what a running engine cannot take, and why") {
  CHECK(text_of([](Config& config) { config.engine.worker_threads = 4; }) ==
        "engine: worker_threads 2 -> 4 (needs a restart: threads are started once; see /engine/worker_threads)\n"
        "1 change, which cannot be applied to a running engine: restart tlsmuxd, or take it back\n");
  Config to = good();
  to.groups[0].memory.clients_max = 65;
  to.engine.log.file = "/l";
  to.engine.log.level = LogLevel::debug;
  const auto changes = plan(good(), to);
  CHECK(!all_live(changes));
  CHECK(plan_text(changes) ==
        "engine: log.level \"info\" -> \"debug\" (at once)\n"
        "engine: log.file \"\" -> \"/l\" (needs a restart: the log is opened before the engine gives up its rights; "
        "see /engine/log/file)\n"
        "group \"EBANKING\": memory.clients_max 64 -> 65 (needs a restart: the group's client directory is laid out "
        "once; see /groups/0/memory/clients_max)\n"
        "3 changes, of which 2 cannot be applied to a running engine: restart tlsmuxd, or take them back\n");
}

TEST_CASE("config.a plan tells groups and upstreams by their names") {
  Config from = good();
  from.upstreams.push_back(upstream(from));
  from.upstreams[1].name = "other";
  Config to = from;
  std::swap(to.upstreams[0], to.upstreams[1]);
  std::swap(to.groups[0], to.groups[1]);
  CHECK(plan(from, to).empty());

  to.upstreams[1].queue_max = 1;  // "acquirer"
  const auto changes = plan(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].pointer == "/upstreams/1/queue_max");

  to.upstreams.erase(to.upstreams.begin());
  const auto removed = plan(from, to);
  REQUIRE(removed.size() == 2);
  CHECK(removed[0].kind == Change::Kind::removed);
  CHECK(removed[0].pointer == "/upstreams/1");
  CHECK(removed[0].words == "upstream \"other\" removed");
  CHECK(removed[1].pointer == "/upstreams/0/queue_max");
}

TEST_CASE("config.a plan tells entries of lists by what is in them") {
  Config from = good();
  from.upstreams[0].endpoints = {{.host = "a", .port = 1}, {.host = "b", .port = 2}};
  Config to = from;
  to.upstreams[0].endpoints = {{.host = "b", .port = 2}};
  auto changes = plan(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == Change::Kind::removed);
  CHECK(changes[0].pointer == "/upstreams/0/endpoints/0");
  CHECK(changes[0].words == "upstream \"acquirer\": endpoints[0] removed: host \"a\", port 1, priority 0, weight 1");
  changes = plan(to, from);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == Change::Kind::added);
  CHECK(changes[0].effect == Effect::new_sessions_replace);
  to.upstreams[0].endpoints = {{.host = "b", .port = 2}, {.host = "a", .port = 1}};
  changes = plan(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].words == "upstream \"acquirer\": endpoints in another order");
  to.upstreams[0].endpoints = {{.host = "a", .port = 1}, {.host = "b", .port = 2}, {.host = "b", .port = 2}};
  changes = plan(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].words == "upstream \"acquirer\": endpoints 2 -> 3 entries");
}

TEST_CASE("config.ports change in a running engine, the place of their guard does not") {
  const std::string one = "1 change, which can be applied to a running engine\n";
  CHECK(text_of([](Config& config) {
          config.groups[0].ports.static_ports.push_back({.port = 1414, .label = "mqlisten", .program = {}});
        }) ==
        "group \"EBANKING\": ports.static[0] added: port 1414, protocol \"tcp\", label \"mqlisten\", program \"\" (at "
        "once)\n" +
            one);
  Config from = good();
  from.groups[0].ports.dynamic = {{.from = 1000, .to = 3000}};
  Config to = from;
  to.groups[0].ports.dynamic[0].to = 2000;
  CHECK(plan_text(plan(from, to)) ==
        "group \"EBANKING\": ports.dynamic[0].to 3000 -> 2000, sockets on ports that it loses stay (at once)\n" + one);
  CHECK(text_of([](Config& config) { config.groups[0].ports.enforcement.reservation = true; }) ==
        "group \"EBANKING\": ports.enforcement.reservation false -> true (at once)\n" + one);
  CHECK(text_of([](Config& config) { upstream(config).tcp.source_ports = "POS"; }) ==
        "upstream \"acquirer\": tcp.source_ports \"\" -> \"POS\" (sessions are replaced in good order)\n" + one);
  CHECK(text_of([](Config& config) { config.engine.port_guard.cgroup = "/c"; }) ==
        "engine: port_guard.cgroup \"\" -> \"/c\" (needs a restart: the guard is put in place before the engine "
        "starts; see /engine/port_guard/cgroup)\n"
        "1 change, which cannot be applied to a running engine: restart tlsmuxd, or take it back\n");
}

TEST_CASE("config.streams and the rules of the SSL wrapper change in a running engine, its listener does not") {
  const std::string one = "1 change, which can be applied to a running engine\n";
  CHECK(text_of([](Config& config) { upstream(config).streams.open_max = 7; }) ==
        "upstream \"acquirer\": streams.open_max 1024 -> 7 (at once)\n" + one);
  CHECK(text_of([](Config& config) { upstream(config).streams.order = StreamOrder::as_asked; }) ==
        "upstream \"acquirer\": streams.order \"as_answered\" -> \"as_asked\" (for streams that are opened from then "
        "on)\n" +
            one);
  CHECK(text_of([](Config& config) { upstream(config).streams.kind = StreamKind::leased; }) ==
        "upstream \"acquirer\": streams.kind \"messages\" -> \"leased\" (the upstream is drained and started anew)\n" +
            one);
  CHECK(text_of([](Config& config) {
          config.ssl_wrapper.rules.push_back({.address = {}, .name = "host.example", .upstream = "acquirer"});
        }) ==
        "ssl_wrapper: rules[0] added: address \"\", name \"host.example\", port 443, upstream \"acquirer\", create "
        "false, an... (at once)\n" +
            one);
  CHECK(text_of([](Config& config) { config.ssl_wrapper.listener_port = 4000; }) ==
        "ssl_wrapper: listener_port 0 -> 4000 (needs a restart: the engine listens once, as soon as it has rules; "
        "see /ssl_wrapper/listener_port)\n"
        "1 change, which cannot be applied to a running engine: restart tlsmuxd, or take it back\n");
}

TEST_CASE("config.a specification that changed under the same name is a change") {
  Config from = good();
  upstream(from).correlation.iso8583.spec = "/etc/spec.json";
  Config to = from;
  upstream(from).correlation.iso8583.fields = std::make_shared<const Iso8583Spec>();
  upstream(to).correlation.iso8583.fields = std::make_shared<const Iso8583Spec>();
  CHECK(plan(from, to).empty());
  Iso8583Spec other;
  other.fields[2].length = 19;
  upstream(to).correlation.iso8583.fields = std::make_shared<const Iso8583Spec>(other);
  const auto changes = plan(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].words == "upstream \"acquirer\": correlation.iso8583.spec \"/etc/spec.json\" has another content");
  CHECK(changes[0].pointer == "/upstreams/0/correlation/iso8583/spec");
  CHECK(changes[0].effect == Effect::upstream_restart);
}

TEST_CASE("config.a plan for programs") {
  Config to = good();
  upstream(to).queue_max = 8192;
  to.engine.user = "x\xff";
  const auto json = nlohmann::json::parse(plan_json(plan(good(), to)));
  CHECK(json["live"] == false);
  REQUIRE(json["changes"].size() == 2);
  CHECK(json["changes"][0]["why_not"] == "a process cannot become another user");
  CHECK(json["changes"][1] == nlohmann::json::parse(R"({
    "kind": "changed", "pointer": "/upstreams/0/queue_max", "effect": "immediate", "live": true,
    "words": "upstream \"acquirer\": queue_max 4096 -> 8192"})"));
  CHECK(nlohmann::json::parse(plan_json({})) == nlohmann::json::parse(R"({"changes": [], "live": true})"));
}

}  // namespace
}  // namespace tlsmux::config::test
