// Hosts that send TLS records with nothing in them: allowed (RFC 8446 section 5.1), and work for whoever opens them.

#include <doctest/doctest.h>

#include "tests/faults/asking_scene.hpp"
#include "tests/faults/empty_record_host.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint64_t kRequests = 8;
// Of a record with nothing in it: header, explicit nonce in TLS 1.2, type in TLS 1.3, tag.
constexpr std::uint32_t kBytes12 = 5 + 8 + 16;
constexpr std::uint32_t kBytes13 = 5 + 1 + 16;
constexpr std::uint32_t kMegabyte = 1 << 20;
constexpr std::uint32_t kRecordsBetweenMax = 64;  // that the engine allows

struct Scene : AskingScene {
  explicit Scene(const EmptyRecordPlan& plan) : host(plan, record) {
    start_engine(host.port(), [this](config::Config& settings) {
      auto& tls = settings.upstreams[0].tls;
      tls.ca_file = folder.add("ca.pem", EmptyRecordHost::authority_pem(), 0644);
      tls.server_name = EmptyRecordHost::name();
    });
    begin();
  }

  EmptyRecordHost host;
};

}  // namespace

TEST_CASE("faults.the host sends a megabyte of empty records: its session ends, and the next works") {
  for (const bool is_1_3 : {false, true}) {
    CAPTURE(is_1_3);
    Scene scene({.is_1_3 = is_1_3,
                 .answers_from = 2,
                 .messages = kRequests,
                 .records = kMegabyte / (is_1_3 ? kBytes13 : kBytes12) + 1});
    CHECK(count_outcomes(scene.ask(kRequests), TMX_MAYBE_SENT, TMX_REASON_RECORD_CORRUPT) == kRequests);
    const auto line = scene.engine->log().wait_for("event=session_lost");
    CHECK_MESSAGE(line.find("TLS messages without end") != std::string::npos, line);
    CHECK(count_ended(scene.ask(kRequests), TMX_ANSWERED) == kRequests);
    await([&] { return scene.facts().handshakes == 2; });
    scene.end();
  }
}

TEST_CASE("faults.the host sends some empty records before each answer, and all are answered") {
  for (const bool is_1_3 : {false, true}) {
    CAPTURE(is_1_3);
    // A TLS 1.3 session begins with two tickets, which count as well.
    Scene scene({.is_1_3 = is_1_3, .records_before_answer = kRecordsBetweenMax - (is_1_3 ? 2 : 0)});
    CHECK(count_ended(scene.ask(kRequests), TMX_ANSWERED) == kRequests);
    CHECK(count_ended(scene.ask(kRequests), TMX_ANSWERED) == kRequests);
    await([&] { return scene.facts().answered == 2 * kRequests; });
    CHECK(scene.facts().handshakes == 1);
    scene.end();
  }
}

}  // namespace tlsmux::test
