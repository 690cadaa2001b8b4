// Endpoints and framings written as one text.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/check/short_forms.hpp"
#include "config/framing_presets.hpp"
#include "config/settings_tree.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

TEST_CASE("config.endpoints as text") {
  struct Good {
    std::string text;
    std::string host;
    std::uint16_t port;
  };
  for (const Good& good : std::vector<Good>{{"host.example:443", "host.example", 443},
                                            {"10.0.0.1:1", "10.0.0.1", 1},
                                            {"[::1]:65535", "::1", 65535},
                                            {"[fe80::1%eth0]:5000", "fe80::1%eth0", 5000}}) {
    EndpointSettings endpoint;
    const Problem problem = read_short_form(good.text, endpoint);
    CHECK_MESSAGE(!problem, problem.value_or(""));
    CHECK(endpoint.host == good.host);
    CHECK(endpoint.port == good.port);
  }
}

TEST_CASE("config.endpoints as text that are wrong") {
  struct Bad {
    std::string text;
    std::string why;
  };
  const std::string must_be = R"(must be "host:port", "address:port" or "[IPv6 address]:port", is )";
  for (const Bad& bad : std::vector<Bad>{
           {"host", R"("host", which has no port)"},
           {"", R"("", which has no port)"},
           {"host:", R"("host:", where the port is not between 1 and 65535)"},
           {"host:0", R"("host:0", where the port is not between 1 and 65535)"},
           {"host:65536", R"("host:65536", where the port is not between 1 and 65535)"},
           {"host:+1", R"("host:+1", where the port is not between 1 and 65535)"},
           {"host:1 ", R"("host:1 ", where the port is not between 1 and 65535)"},
           {":443", R"(":443", where "" is no host name or address)"},
           {"a b:443", R"("a b:443", where "a b" is no host name or address)"},
           {"::1:443", R"("::1:443": an IPv6 address stands in brackets, as in "[::1]:443")"},
           {"[10.0.0.1]:443", R"("[10.0.0.1]:443": brackets are for IPv6 addresses)"},
           {"[::x]:443", R"("[::x]:443", where "::x" is no host name or address)"},
       }) {
    EndpointSettings endpoint{.host = "before", .port = 7};
    CHECK(read_short_form(bad.text, endpoint).value_or("none") == must_be + bad.why);
    CHECK(endpoint.host == "before");
    CHECK(endpoint.port == 7);
  }
}

TEST_CASE("config.a framing preset's name alone means all of its settings") {
  CHECK(framing_presets().size() > 20);
  for (const FramingPreset& preset : framing_presets()) {
    CAPTURE(preset.name);
    const UpstreamSettings upstream =
        parsed(with("/upstreams/0/framing", "\"" + std::string(preset.name) + "\"")).upstreams[0];
    CHECK(settings_tree(upstream.framing) == settings_tree(preset.settings));
  }
}

TEST_CASE("config.keys beside a preset change it, in whatever order they stand") {
  const char* const text = R"({"length_includes_itself": true, "message_bytes_max": 100, "preset": "ascii4"})";
  const FramingSettings framing = parsed(with("/upstreams/0/framing", text)).upstreams[0].framing;
  CHECK(framing.length_encoding == LengthEncoding::ascii);
  CHECK(framing.length_bytes == 4);
  CHECK(framing.length_includes_itself);
  CHECK(framing.message_bytes_max == 100);
}

}  // namespace
}  // namespace tlsmux::config::test
