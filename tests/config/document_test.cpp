// Texts that are not JSON, and JSON that is not taken.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/config_json.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

std::string errors_of(std::string_view text) {
  const auto config = parse(text);
  return config ? "none" : in_words(config.error());
}

struct BadText {
  std::string text;
  std::string line;  // the first line of the errors
};

const std::vector<BadText> kBadTexts = {
    {"", "FILE:1:1: the file is empty; it must hold an object with at least \"groups\" and \"upstreams\""},
    {" \n\t\n", "FILE:1:1: the file is empty; it must hold an object with at least \"groups\" and \"upstreams\""},
    {"{\n  \"groups\": [],\n}",
     "FILE:3:1: not valid JSON: unexpected '}'; expected string literal; remove the comma before this '}'"},
    {"{\"groups\": [1,]}",
     "FILE:1:15: not valid JSON: unexpected ']'; expected '[', '{', or a literal; remove the comma before "
     "this ']'"},
    {"{\"groups\" []}", "FILE:1:11: not valid JSON: unexpected '['; expected ':'"},
    {"{\n\"groups\": []\n\"upstreams\": []}", "FILE:3:11: not valid JSON: unexpected string literal; expected '}'"},
    {"{\"groups\": [}", "FILE:1:13: not valid JSON: unexpected '}'; expected '[', '{', or a literal"},
    {"{\"groups\": [", "FILE:1:13: not valid JSON: unexpected end of input; expected '[', '{', or a literal"},
    {"{\"groups\": tru}", "FILE:1:15: not valid JSON: invalid literal; a text stands in double quotes"},
    {"{'groups': []}",
     "FILE:1:2: not valid JSON: invalid literal; expected string literal; a text stands in double quotes"},
    {"{\"groups\": 1e999}", "FILE:1:16: not valid JSON: number overflow parsing '1e999'"},
    {"{} {}", "FILE:1:4: not valid JSON: unexpected '{'; expected end of input"},
    {"{/* open", "FILE:1:9: not valid JSON: invalid comment; missing closing '*/'; expected string literal"},
    {"{\"a\": \"\xff\"}", "FILE:1:8: not valid JSON: invalid string: ill-formed UTF-8 byte"},
    {"{\"a\": \"x\ny\"}",
     "FILE:1:9: not valid JSON: invalid string: control character U+000A (LF) must be escaped to \\u000A or "
     "\\n"},
    {std::string("{}\0garbage", 10), "FILE:1:3: NUL byte; the file must be plain UTF-8 text"},
    {std::string("{\n \"a\": \"\0\"}", 12), "FILE:2:8: NUL byte; the file must be plain UTF-8 text"},
    {"\xff\xfe{}", "FILE:1:1: not valid JSON: invalid literal; a text stands in double quotes"},
    {"[]", "FILE: must be an object { ... }, is a list"},
    {"17", "FILE: must be an object { ... }, is 17"},
};

TEST_CASE("config.a text that is not JSON has an error with line and column") {
  for (const BadText& bad : kBadTexts) {
    CAPTURE(bad.text);
    const std::string errors = errors_of(bad.text);
    CHECK(errors.substr(0, errors.find('\n')) == bad.line);
  }
}

TEST_CASE("config.comments are allowed") {
  const std::string text = "// one\n" + good_json().dump(1) + "/* two\n three */ // four";
  CHECK(errors_of(text) == "none");
}

TEST_CASE("config.a byte order mark is allowed") { CHECK(errors_of("\xef\xbb\xbf" + good_json().dump()) == "none"); }

TEST_CASE("config.duplicate keys are errors, at every level") {
  CHECK(errors_of(R"({"groups": [{"name": "A", "name": "B", "memory": {"slot_bytes": 64, "slot_bytes": 65}}],
                      "upstreams": [{"name": "U", "groups": ["B"], "endpoints": ["h:1"]}],
                      "groups": [{"name": "B"}]})") ==
        "FILE: /groups/0/name: this key stands here twice; keep one of the two\n"
        "FILE: /groups/0/memory/slot_bytes: this key stands here twice; keep one of the two\n"
        "FILE: /groups: this key stands here twice; keep one of the two\n");
}

TEST_CASE("config.the same key in two objects is no duplicate") {
  CHECK(errors_of(R"({"groups": [{"name": "A"}, {"name": "B"}],
                      "upstreams": [{"name": "U", "groups": ["B"], "endpoints": ["h:1"]}]})") == "none");
}

}  // namespace
}  // namespace tlsmux::config::test
