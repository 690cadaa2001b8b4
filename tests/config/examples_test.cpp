// The examples load, and hold what their comments say.
#include <doctest/doctest.h>

#include <string>

#include "config/config_file.hpp"
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

TEST_CASE("config.the acquirer example is good") {
  const Config config = example("acquirer.json");
  REQUIRE(config.upstreams.size() == 2);
  CHECK(config.upstreams[0].endpoints.size() == 2);
  CHECK(config.upstreams[0].correlation.kind == CorrelationKind::bytes);
  CHECK(config.upstreams[1].endpoints[0].host == "2001:db8::17");
  CHECK(config.upstreams[1].framing.length_encoding == LengthEncoding::ascii);
}

}  // namespace
}  // namespace tlsmux::config::test
