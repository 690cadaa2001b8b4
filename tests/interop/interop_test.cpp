// Authorizers, the engine, and a host whose ISO 8583 is a library of other authors.

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/host/test_messages.hpp"
#include "tests/interop/node_host.hpp"
#include "tests/system/await.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr unsigned kAskEvery = 5;
constexpr std::uint32_t kAuthorizers = 4;
constexpr std::uint32_t kRequests = 50;  // of each

config::Config iso8583_config(const TemporaryFolder& folder, const NodeHost& node) {
  auto config = engine_config(folder, {node.port()});
  auto& upstream = config.upstreams[0];
  upstream.sessions = 2;
  upstream.correlation.kind = config::CorrelationKind::iso8583;
  upstream.correlation.iso8583.spec = "1987_ascii";
  upstream.auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {{39, "00"}}}};
  return config;
}

std::uint32_t trace_number(std::uint32_t authorizer, std::uint32_t request) {
  return authorizer * kRequests + request + 1;
}

void check_answer(const Ended& ended) {
  REQUIRE(ended.outcome == TMX_ANSWERED);
  const auto asked = host::request(static_cast<std::uint32_t>(ended.tag));
  CHECK(host::field(ended.answer, 0) == "0110");
  CHECK(host::field(ended.answer, 39) == "00");
  for (const unsigned number : {2U, 3U, 4U, 7U, 11U, 37U, 41U, 42U, 49U}) {
    CAPTURE(number);
    CHECK(host::field(ended.answer, number) == host::field(asked, number));
  }
}

std::ptrdiff_t count_of_type(const NodeHost& node, const std::string& type) {
  const auto received = node.received();
  return std::ranges::count_if(received, [&](const FieldValues& values) { return values.at(0) == type; });
}

}  // namespace

TEST_CASE("iso8583.authorizers reach a library of other authors through the engine, and are answered each his own") {
  if (NodeHost::is_missing()) return;
  const Residue residue;
  const TemporaryFolder folder;
  const NodeHost node(kAskEvery);
  const auto config = iso8583_config(folder, node);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);

  std::vector<std::unique_ptr<Requester>> authorizers;
  for (std::uint32_t i = 0; i < kAuthorizers; ++i) authorizers.push_back(std::make_unique<Requester>(config));
  for (std::uint32_t request = 0; request < kRequests; ++request) {
    for (std::uint32_t i = 0; i < kAuthorizers; ++i) {
      const auto trace = trace_number(i, request);
      authorizers[i]->submit_surely(host::request(trace), trace);
    }
    for (std::uint32_t i = 0; i < kAuthorizers; ++i) {
      const auto ended = authorizers[i]->take_one();
      CHECK(ended.tag == trace_number(i, request));
      check_answer(ended);
    }
  }
  CHECK(count_of_type(node, "0100") == kAuthorizers * kRequests);
  // What the host asked, the engine answered by itself: every so many requests of a session, of which there are two.
  await([&] {
    return count_of_type(node, "0810") >= static_cast<std::ptrdiff_t>(kAuthorizers * kRequests / kAskEvery - 2);
  });
  for (const auto& values : node.received()) {
    if (values.at(0) == "0810") CHECK(values.at(39) == "00");
  }
  CHECK(engine.log().count("event=session_lost") == 0);
  authorizers.clear();
  CHECK(engine.stop() == 0);
}

}  // namespace tlsmux::test
