// Settings that change under sessions and requests that there are.
#include <doctest/doctest.h>

#include <cerrno>
#include <memory>

#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

struct Rig : MuxRig {
  explicit Rig(const config::Config& settings) : MuxRig(settings) { bring_up_all(); }
  template <typename Change>
  void change(Change how) {
    how(config.upstreams[0]);
    mux.change_upstream(0, std::make_shared<const config::UpstreamSettings>(config.upstreams[0]), nullptr, false);
    advance_ms(0);
  }
};

config::Config one_session() {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 1;
  config.upstreams[0].sessions_max = 2;
  config.upstreams[0].timeouts.session_idle_ms = 10'000'000;
  return config;
}

}  // namespace

TEST_CASE("engine.another age holds for sessions that there are") {
  Rig rig(one_session());
  const auto change_age = [&](std::uint32_t age_max_s) {
    rig.change([&](config::UpstreamSettings& upstream) { upstream.rotation.age_max_s = age_max_s; });
  };
  change_age(1000);
  rig.advance_ms(500'000);
  CHECK(rig.starting() == 0);
  change_age(100'000);
  rig.advance_ms(600'000);
  CHECK(rig.starting() == 0);
  change_age(1000);
  CHECK(rig.starting() == 1);
}

TEST_CASE("engine.session to an endpoint that is gone serves while the new one cannot be had") {
  auto config = one_session();
  config.upstreams[0].sessions_max = 1;
  Rig rig(config);
  rig.change([](config::UpstreamSettings& upstream) {
    upstream.endpoints = {{.host = "127.0.0.9", .port = 9}};
    upstream.rotation.messages_max = 1;
  });
  // The place in excess tries the new one.
  REQUIRE(rig.network[1].stage == Stage::connecting);
  rig.connect(1, ECONNREFUSED);
  rig.finish_close(1);
  const auto first = rig.ask("0001");
  const auto second = rig.ask("0002");
  CHECK(rig.session(0).is_up());
  rig.accept_all(0);
  for (const auto& message : rig.heard(0)) rig.say(0, message);
  rig.advance_to_due();
  CHECK(rig.outcome(first) == "answered 0001");
  CHECK(rig.outcome(second) == "answered 0002");
  REQUIRE(rig.network[1].stage == Stage::connecting);
  CHECK(rig.session(0).is_up());
}

TEST_CASE("engine.upstream of another shard has its index here and nothing else") {
  Rig rig(one_session());
  auto settings = std::make_shared<config::UpstreamSettings>(rig.config.upstreams[0]);
  settings->name = "elsewhere";
  settings->endpoints.push_back({.host = "127.0.0.1", .port = 9001});
  rig.mux.add_upstream(settings, nullptr);
  CHECK(rig.mux.serves(0));
  CHECK_FALSE(rig.mux.serves(1));
  CHECK(rig.upstream(1).sessions.empty());
  const auto tag = rig.ask("0001");
  rig.advance_ms(100);
  CHECK(rig.starting() == 0);
  rig.accept_all(0);
  rig.say(0, "0001 answer");
  CHECK(rig.outcome(tag) == "answered 0001 answer");
  rig.mux.drain();
  rig.mux.close_sessions();
  rig.finish_close(0);
  CHECK(rig.mux.is_closed());
}

TEST_CASE("engine.another time for a host's silence holds for requests in flight") {
  auto config = one_session();
  config.upstreams[0].timeouts.silence_ms = 1000;
  Rig rig(config);
  const auto change_silence = [&](std::uint32_t silence_ms) {
    rig.change([&](config::UpstreamSettings& upstream) { upstream.timeouts.silence_ms = silence_ms; });
  };
  const auto tag = rig.ask("0001", 100'000);
  rig.accept_all(0);
  SUBCASE("none") {
    change_silence(0);
    rig.advance_ms(5000);
    CHECK(rig.session(0).is_up());
    change_silence(6000);
    rig.advance_ms(900);
    CHECK(rig.session(0).is_up());
    rig.advance_ms(200);
    CHECK_FALSE(rig.session(0).is_up());
  }
  SUBCASE("a longer one") {
    change_silence(3000);
    rig.advance_ms(2900);
    CHECK(rig.session(0).is_up());
    rig.advance_ms(200);
    CHECK_FALSE(rig.session(0).is_up());
  }
  SUBCASE("a shorter one, which is over already") {
    rig.advance_ms(500);
    change_silence(400);
    CHECK_FALSE(rig.session(0).is_up());
  }
  rig.finish_close(0);
  CHECK(rig.outcome(tag) == "maybe_sent host_silent");
}
