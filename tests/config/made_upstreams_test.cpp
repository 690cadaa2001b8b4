// Upstreams that an engine makes for server names.
#include "config/made_upstreams.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/plan.hpp"

namespace tlsmux::config::test {
namespace {

// A model, and rules that lead to it.
Config with_rules() {
  Config config;
  config.groups.emplace_back().name = "ATMS";
  auto& model = config.upstreams.emplace_back();
  model.name = "web";
  model.groups = {"ATMS"};
  model.endpoints = {{.host = "www.bank.example", .port = 443}, {.host = "192.0.2.1", .port = 443}};
  model.sessions = 1;
  model.sessions_max = 3;
  model.framing = {.kind = FramingKind::http1};
  model.streams = {.kind = StreamKind::leased, .open_max = 7};
  config.ssl_wrapper.rules = {
      {.address = {}, .name = "*.bank.example", .port = 443, .upstream = "web", .create = true},
      {.address = {}, .name = "*.shop.example", .port = 8443, .upstream = "web", .create = true}};
  config.ssl_wrapper.created_max = 3;
  return config;
}

Config with_some_made() {
  Config config = with_rules();
  const auto model = config.upstreams[0];
  config.upstreams.push_back(made_upstream(model, "a.bank.example", 443));
  config.upstreams.push_back(made_upstream(model, "b.shop.example", 8443));
  return config;
}

std::vector<std::string> names(const Config& config) {
  std::vector<std::string> all;
  std::ranges::transform(config.upstreams, std::back_inserter(all), &UpstreamSettings::name);
  return all;
}

using Names = std::vector<std::string>;

TEST_CASE("config.what may be connected to is a host name and nothing else") {
  CHECK(host_of_server_name("API.Bank.Example") == "api.bank.example");
  CHECK(host_of_server_name("api.bank.example.") == "api.bank.example");
  CHECK(host_of_server_name("a-b.bank.example") == "a-b.bank.example");
  CHECK(host_of_server_name("_a.b_.example") == "_a.b_.example");
  CHECK(host_of_server_name("1.2.3.4.example") == "1.2.3.4.example");
  CHECK(host_of_server_name("localhost") == "localhost");
  const std::string label(63, 'a');
  CHECK(host_of_server_name(label + ".example"));
  for (const std::string& odd : Names{"",
                                      ".",
                                      "..",
                                      "a..example",
                                      ".example",
                                      "example..",
                                      "*.bank.example",
                                      "*",
                                      "/etc/passwd",
                                      "../x.bank.example",
                                      "a b.example",
                                      "a\tb.example",
                                      "a%0.example",
                                      "a:443.bank.example",
                                      "user@bank.example",
                                      "[::1]",
                                      "::1",
                                      "fe80::1%lo",
                                      "b\xc3\xa4nk.example",
                                      "-a.example",
                                      "a-.example",
                                      "a.-b.example",
                                      "a.example-",
                                      label + "a.example"}) {
    CHECK_MESSAGE(!host_of_server_name(odd), odd);
  }
  // What the resolver takes for an address.
  for (const std::string& address : Names{"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0X7F.1", "127.0.0.0x1",
                                          "017700000001", "127.0.0.1.", "a.bank.1", "a.0x1"}) {
    CHECK_MESSAGE(!host_of_server_name(address), address);
  }
  std::string longest;
  while (longest.size() < 252) longest += "a.";
  CHECK(host_of_server_name(longest + "a"));
  CHECK(!host_of_server_name(longest + "aa"));
}

TEST_CASE("config.a made upstream is its model for one host") {
  const Config config = with_rules();
  const auto& model = config.upstreams[0];
  const auto made = made_upstream(model, "a.bank.example", 8443);
  CHECK(made.name == "a.bank.example:8443");
  CHECK(made.tls.server_name == "a.bank.example");
  REQUIRE(made.endpoints.size() == 1);
  CHECK(made.endpoints[0].host == "a.bank.example");
  CHECK(made.endpoints[0].port == 8443);
  CHECK(made.groups == model.groups);
  CHECK(made.sessions_max == 3);
  CHECK(is_made(made));
  CHECK(!is_made(model));
  CHECK(model_of(config, made_upstream(model, "a.bank.example", 443)) == &model);
  CHECK(model_of(config, made) == nullptr);  // the rule is for another port
  CHECK(name_of_made("a.bank.example", 443) == made_upstream(model, "a.bank.example", 443).name);
  CHECK(name_of_made(std::string(59, 'a'), 443));
  CHECK(!name_of_made(std::string(60, 'a'), 443));
}

TEST_CASE("config.what was made stays under another configuration as long as its rule and its model do") {
  const Config before = with_some_made();
  CHECK(names(with_made(before, with_rules())) == Names{"web", "a.bank.example:443", "b.shop.example:8443"});
  CHECK(plan(before, with_made(before, with_rules())).empty());

  Config to = with_rules();
  to.ssl_wrapper.rules.erase(to.ssl_wrapper.rules.begin());
  CHECK(names(with_made(before, to)) == Names{"web", "b.shop.example:8443"});

  to = with_rules();
  to.ssl_wrapper.rules[1].port = 8444;
  CHECK(names(with_made(before, to)) == Names{"web", "a.bank.example:443"});

  to = with_rules();
  to.ssl_wrapper.rules[1].create = false;
  CHECK(names(with_made(before, to)) == Names{"web", "a.bank.example:443"});

  // Another rule comes first.
  to = with_rules();
  to.ssl_wrapper.rules.insert(to.ssl_wrapper.rules.begin(),
                              {.address = {}, .name = "a.bank.example", .port = 443, .upstream = "web"});
  CHECK(names(with_made(before, to)) == Names{"web", "b.shop.example:8443"});

  to = with_rules();
  to.upstreams[0].name = "another";
  CHECK(names(with_made(before, to)) == Names{"another"});

  to = with_rules();
  to.ssl_wrapper.created_max = 1;
  CHECK(names(with_made(before, to)) == Names{"web", "a.bank.example:443"});
}

TEST_CASE("config.a model's changed settings are those of what was made from it") {
  const Config before = with_some_made();
  Config to = with_rules();
  to.upstreams[0].timeouts.connect_ms = 1234;
  to.upstreams[0].endpoints.pop_back();
  const Config after = with_made(before, to);
  CHECK(after.upstreams[1].timeouts.connect_ms == 1234);
  CHECK(after.upstreams[1].endpoints[0].host == "a.bank.example");
  CHECK(plan_text(plan(before, after)).contains("upstream \"a.bank.example:443\": timeouts.connect_ms 5000 -> 1234"));
  CHECK(!plan_text(plan(before, after)).contains("upstream \"a.bank.example:443\": endpoints"));
}

TEST_CASE("config.changes of what was made point at its model") {
  const Config before = with_some_made();
  Config to = with_rules();
  to.upstreams.insert(to.upstreams.begin(), to.upstreams[0])->name = "new";
  to.upstreams[1].timeouts.connect_ms = 1234;
  const Config after = with_made(before, to);
  CHECK(place_in_file(after, 0) == 0);
  CHECK(place_in_file(after, 1) == 1);
  CHECK(place_in_file(after, 2) == 1);
  CHECK(place_in_file(after, 3) == 1);
  auto changes = plan(before, after);
  point_into_file(after, changes);
  REQUIRE(changes.size() == 4);
  CHECK(changes[0].pointer == "/upstreams/0");
  for (std::size_t i = 1; i < changes.size(); ++i) CHECK(changes[i].pointer == "/upstreams/1/timeouts/connect_ms");
}

TEST_CASE("config.room for what may be made is that of the largest models") {
  Config config = with_rules();
  auto room = room_for_made(config);
  CHECK(room.upstreams == 3);
  CHECK(room.session_places == 4);
  CHECK(room.streams == 7);
  CHECK(share_of_made(room, 1) == 3);
  CHECK(share_of_made(room, 2) == 2);
  for (auto& rule : config.ssl_wrapper.rules) rule.create = false;
  room = room_for_made(config);
  CHECK(room.upstreams == 0);
  CHECK(share_of_made(room, 2) == 0);
}

}  // namespace
}  // namespace tlsmux::config::test
