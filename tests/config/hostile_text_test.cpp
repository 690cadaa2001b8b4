// Texts made to hurt: depth, size, and good ones with bytes changed at random.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <random>
#include <string>

#include "config/check/findings.hpp"
#include "config/check/value_checker.hpp"
#include "config/config_json.hpp"
#include "config/limits.hpp"
#include "tests/config/config_text.hpp"
#include "tests/config/setting_changer.hpp"
#include "tests/config/settings_json.hpp"
#include "tests/support/seed.hpp"

namespace tlsmux::config::test {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST_CASE("config.nesting ends at its limit, for lists and objects") {
  const std::size_t deepest = kConfigDepthMax;
  for (const std::string opening : {"[", "{\"a\":"}) {
    const std::string closing = opening == "[" ? "]" : "}";
    const std::string value = opening == "[" ? "" : "1";
    const auto allowed = parse(repeated(opening, deepest) + value + repeated(closing, deepest));
    REQUIRE(!allowed.has_value());  // JSON, though no configuration
    CHECK(in_words(allowed.error()).find("deep within") == std::string::npos);
    const auto deeper = parse(repeated(opening, deepest + 1) + value + repeated(closing, deepest + 1));
    REQUIRE(!deeper.has_value());
    REQUIRE(deeper.error().size() == 1);
    CHECK(deeper.error()[0].message ==
          "objects and arrays lie more than 32 deep within each other here; no setting does");
  }
}

TEST_CASE("config.a million opening brackets are one error") {
  const auto config = parse(std::string(1'000'000, '['));
  REQUIRE(!config.has_value());
  CHECK(config.error().size() == 1);
}

TEST_CASE("config.long keys and values are cut in error texts") {
  const std::string long_text(100'000, 'k');
  const auto config = parse(R"({"groups": ")" + long_text + R"(", "upstreams": [], ")" + long_text + R"(": 1})");
  REQUIRE(!config.has_value());
  for (const ConfigError& error : config.error()) CHECK(error.pointer.size() + error.message.size() < 400);
}

TEST_CASE("config.control characters in keys do not reach the terminal") {
  const auto config = parse(R"({"groups": [], "upstreams": [], "a\u001b[2J\nFILE: /b: fine": 1})");
  REQUIRE(!config.has_value());
  const std::string text = in_words(config.error());
  CHECK(text.find("FILE: /a\\u001b[2J\\u000aFILE: ~1b: fine: unknown key") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("config.many keys take no time to speak of") {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  const auto config = parse(text + R"("groups": [], "upstreams": []})");
  REQUIRE(!config.has_value());
  CHECK(config.error().size() == 100'001);
}

TEST_CASE("config.any change of bytes leads to settings within their limits or to errors") {
  std::mt19937_64 random(tlsmux::test::seed());
  const std::array<std::string, 2> texts = {good_json().dump(1), json_of(full_config()).dump(1)};
  const std::string bytes = std::string("{}[]\",:0919-+.eE\\/*\n\0\xff\x80tfnu", 27);
  const auto below = [&random](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  for (int round = 0; round < 20'000; ++round) {
    std::string text = texts[static_cast<std::size_t>(round) % texts.size()];
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0: text[at] = bytes[below(bytes.size())]; break;
        case 1: text.insert(at, 1, bytes[below(bytes.size())]); break;
        case 2: text.erase(at, 1 + below(20)); break;
        default: text.insert(at, text.substr(below(text.size()), below(40)));
      }
    }
    auto partial = parse_partially(text);
    if (!partial) {
      CHECK(!partial.error().empty());
    } else if (partial->errors.empty()) {
      CAPTURE(text);
      Findings findings({});
      ValueChecker checker("", findings);
      describe(checker, partial->config);
      CHECK(in_words(std::move(findings).take()).empty());  // the reader let no wrong value pass
    }
  }
}

}  // namespace
}  // namespace tlsmux::config::test
