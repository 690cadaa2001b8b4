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

// Once each.
void refuse_all(MuxRig& rig) {
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    if (rig.network[i].stage != Stage::connecting) continue;
    rig.connect(i, ECONNREFUSED);
    rig.finish_close(i);
  }
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

// ---- Sessions that wait for their next attempt ----

TEST_CASE("engine.a change that attempts depend on ends the pauses, and they begin anew") {
  auto config = one_session();
  config.upstreams[0].sessions = config.upstreams[0].sessions_max = 5;
  config.upstreams[0].handshakes_max = 2;
  config.upstreams[0].backoff = {.initial_ms = 100, .max_ms = 30'000, .jitter_percent = 0};
  MuxRig rig(config);
  while (rig.upstream().endpoints[0].fruitless < 10) {
    refuse_all(rig);
    if (rig.starting() == 0) rig.advance_to_due();
  }
  refuse_all(rig);
  REQUIRE(rig.starting() == 0);
  REQUIRE(rig.outcome(rig.ask("0001")) == "not_sent connect_refused");
  rig.advance_ms(1000);

  std::unique_ptr<engine::tls::TlsClient> tls_client;
  bool replaces = false;
  bool is_of_attempts = true;
  auto settings = config.upstreams[0];
  SUBCASE("endpoints, tls or tcp") { replaces = true; }
  SUBCASE("the content of a certificate file") { tls_client = std::make_unique<test::PlainTlsClient>(); }
  SUBCASE("backoff") { settings.backoff.max_ms = 20'000; }
  SUBCASE("how long an attempt may take") { settings.timeouts.handshake_ms += 1; }
  SUBCASE("something else") {
    settings.queue_max += 1;
    is_of_attempts = false;
  }
  const auto dialled = rig.network.dialled().size();
  rig.mux.change_upstream(0, std::make_shared<const config::UpstreamSettings>(settings), std::move(tls_client),
                          replaces);
  CHECK(rig.starting() == (is_of_attempts ? 2 : 0));
  CHECK(rig.network.dialled().size() - dialled == rig.starting());
  const auto waiting = rig.ask("0002");
  if (!is_of_attempts) {
    CHECK(rig.outcome(waiting) == "not_sent connect_refused");
    return;
  }
  CHECK(rig.outcome(waiting) == "open");
  refuse_all(rig);
  CHECK(rig.outcome(waiting) == "not_sent connect_refused");
  rig.advance_ms(99);
  CHECK(rig.starting() == 0);
  rig.advance_ms(1);
  REQUIRE(rig.starting() == 1);
  rig.bring_up_all();
  while (rig.starting() > 0) {
    CHECK(rig.starting() <= 2);
    rig.bring_up_all();
  }
  CHECK(rig.count(shm::SessionState::ready) == 5);
}

TEST_CASE("engine.a session that was up for a moment only tries again at once after a change of its certificate") {
  auto config = one_session();
  config.upstreams[0].backoff = {.initial_ms = 10'000, .max_ms = 30'000, .jitter_percent = 0};
  MuxRig rig(config);
  test::TlsScript script;
  test::bring_up_scripted(rig, 0, script);
  script.open_error = engine::tls::TlsError{shm::Reason::certificate_rejected_by_host, "certificate required"};
  rig.receive(0, test::to_bytes("an alert"));
  rig.finish_close(0);
  rig.advance_ms(100);
  REQUIRE(rig.starting() == 0);
  rig.mux.change_upstream(0, std::make_shared<const config::UpstreamSettings>(config.upstreams[0]),
                          std::make_unique<test::PlainTlsClient>(), false);
  REQUIRE(rig.starting() == 1);
  const auto waiting = rig.ask("0001");
  rig.bring_up_all();
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001"});
  rig.say(0, "0001");
  CHECK(rig.outcome(waiting) == "answered 0001");
}

TEST_CASE("engine.an attempt by earlier settings does not hold up those by new ones") {
  MuxRig rig(one_session());
  REQUIRE(rig.network[0].stage == Stage::connecting);
  auto settings = rig.config.upstreams[0];
  bool is_handshaking = false;
  SUBCASE("while it connects") {}
  SUBCASE("while a worker has it") { is_handshaking = true; }
  if (is_handshaking) rig.connect(0);
  const auto change = [&](bool replaces) {
    rig.mux.change_upstream(0, std::make_shared<const config::UpstreamSettings>(settings), nullptr, replaces);
  };
  settings.backoff.max_ms = 20'000;
  change(false);
  CHECK(rig.network[0].stage == (is_handshaking ? Stage::up : Stage::connecting));
  settings.endpoints = {{.host = "127.0.0.9", .port = 9}};
  change(true);
  CHECK(rig.network[0].stage == Stage::closing);
  rig.finish_close(0);
  CHECK(rig.events.last().words == "the configuration has changed");
  CHECK(rig.network.dialled().back() == "127.0.0.9:9");
  CHECK(rig.starting() == 1);
  CHECK_FALSE(rig.upstream().endpoints[0].failed);
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
