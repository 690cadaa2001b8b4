// Hosts that turn the client's certificate down: in TLS 1.3 after the handshake (RFC 8446 section 4.4.2.4), so that each
// session is up for a moment.
#include <doctest/doctest.h>

#include <array>

#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using shm::Reason;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

TEST_CASE("engine.a host that turns our certificate down after the handshake has never been up") {
  MuxRig rig(test::keyed_config());
  test::TlsScript script;
  test::bring_up_scripted(rig, 0, script);
  REQUIRE(rig.session(0).is_up());
  script.open_error = engine::tls::TlsError{Reason::certificate_rejected_by_host, "bad certificate"};
  const auto waiting = rig.submit("0001");
  rig.receive(0, test::to_bytes("an alert"));
  rig.finish_close(0);
  CHECK(rig.upstream().endpoints[0].failed);
  CHECK(rig.outcome(waiting) == "not_sent certificate_rejected_by_host");
  CHECK(rig.outcome(rig.ask("0002")) == "not_sent certificate_rejected_by_host");
}

TEST_CASE("engine.a host that turns our certificate down after each handshake meets no storm") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  std::array<test::TlsScript, 2> scripts;
  const auto turn_down = [&](std::size_t i) {
    if (!rig.session(i).is_up()) return;
    scripts[i].open_error = engine::tls::TlsError{Reason::certificate_rejected_by_host, "bad certificate"};
    rig.receive(i, test::to_bytes("an alert"));
    rig.finish_close(i);
  };
  // While one is on its way, the other is up for a moment.
  const auto come_and_go = [&](std::size_t i) {
    if (rig.network[i].stage != Stage::connecting) return;
    turn_down(1 - i);
    scripts[i] = {};
    test::bring_up_scripted(rig, i, scripts[i]);
    REQUIRE(rig.network.dialled().size() < 40);
  };
  constexpr std::uint64_t kMinuteNs = 60'000 * engine::mux::kNanosecondsPerMillisecond;
  for (const auto begun_ns = rig.now_ns; rig.now_ns - begun_ns < kMinuteNs; rig.advance_to_due()) {
    while (rig.starting() > 0) {
      for (std::size_t i = 0; i < 2; ++i) come_and_go(i);
    }
    for (std::size_t i = 0; i < 2; ++i) turn_down(i);
    CHECK(rig.outcome(rig.ask("0001")) == "not_sent certificate_rejected_by_host");
  }
}
