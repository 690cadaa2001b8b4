#include "tests/host/framing.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/host/framing_names.hpp"

using namespace tlsmux::host;
using namespace std::string_literals;

namespace {

const std::string kLong(18, 'z');  // 18 is 12 in hexadecimal

// By hand: what stands before "abc" and before kLong, a keep-alive, and what stands after each of the two.
struct Layout {
  std::string name, before_abc, before_long, keep_alive, after;

  // "abc", the keep-alive, kLong.
  [[nodiscard]] std::string stream() const {
    return before_abc + "abc" + after + keep_alive + before_long + kLong + after;
  }
};

const std::vector<Layout> kLayouts = {
    {"length16", "\x00\x03"s, "\x00\x12"s, "\x00\x00"s, ""},
    {"length16_inclusive", "\x00\x05"s, "\x00\x14"s, "\x00\x02"s, ""},
    {"length16_le", "\x03\x00"s, "\x12\x00"s, "\x00\x00"s, ""},
    {"length24", "\x00\x00\x03"s, "\x00\x00\x12"s, "\x00\x00\x00"s, ""},
    {"length32", "\x00\x00\x00\x03"s, "\x00\x00\x00\x12"s, "\x00\x00\x00\x00"s, ""},
    {"length32_inclusive", "\x00\x00\x00\x07"s, "\x00\x00\x00\x16"s, "\x00\x00\x00\x04"s, ""},
    {"ascii4", "0003", "0018", "0000", ""},
    {"ascii4_inclusive", "0007", "0022", "0004", ""},
    {"hex4", "0003", "0012", "0000", ""},
    {"bcd4", "\x00\x03"s, "\x00\x18"s, "\x00\x00"s, ""},
    {"post", "\x00\x03"s, "\x00\x12"s, "\x00\x00"s, ""},
    {"nac", "\x00\x03"s, "\x00\x12"s, "\x00\x00"s, ""},
    {"nac_inclusive", "\x00\x05"s, "\x00\x14"s, "\x00\x02"s, ""},
    {"bcd", "\x00\x03"s, "\x00\x18"s, "\x00\x00"s, ""},
    {"ncc", "\x00\x03"s, "\x00\x18"s, "\x00\x00"s, ""},
    {"amex", "\x00\x05"s, "\x00\x14"s, "\x00\x02"s, ""},
    {"raw", "\x00\x00\x00\x03"s, "\x00\x00\x00\x12"s, "\x00\x00\x00\x00"s, ""},
    {"cmf", "\x00\x00\x03"s, "\x00\x00\x12"s, "\x00\x00\x00"s, ""},
    {"cs", "\x00\x03\x00\x00"s, "\x00\x12\x00\x00"s, "\x00\x00\x00\x00"s, ""},
    {"vap", "\x00\x03\x00\x00"s, "\x00\x12\x00\x00"s, "\x00\x00\x00\x00"s, ""},
    {"vml", "\x00\x03\x00\x00"s, "\x00\x12\x00\x00"s, "\x00\x00\x00\x00"s, ""},
    {"gicc", "\x00\x00\x00\x03"s, "\x00\x00\x00\x12"s, "\x00\x00\x00\x00"s, ""},
    {"rbp", "\xd0\x4a\x00\x03\x00\x00"s, "\xd0\x4a\x00\x12\x00\x00"s, "\xd0\x4a\x00\x00\x00\x00"s, ""},
    {"base24", "", "", "\x03", "\x03"},
    {"base24_tcp", "\x00\x04"s, "\x00\x13"s, "\x00\x00"s, "\x03"},
    {"etx", "", "", "\x03", "\x03"},
    {"stx_etx", "\x02", "\x02", "\x02\x03", "\x03"},
    {"cr", "", "", "\r", "\r"},
    {"lf", "", "", "\n", "\n"},
    {"crlf", "", "", "\r\n", "\r\n"},
};

Framing limited(std::string_view name, std::size_t message_bytes_max = 100) {
  Framing framing = framing_named(name).value();
  framing.message_bytes_max = message_bytes_max;
  return framing;
}

// Cuts what is there of `stream` into `bodies` and drops it, as a connection does when a piece arrives.
void cut(const Framing& framing, std::string& stream, std::vector<std::string>& bodies) {
  while (true) {
    const auto frame = first_frame(framing, stream);
    REQUIRE(frame.has_value());
    if (!*frame) return;
    bodies.emplace_back((*frame)->body);
    CHECK_FALSE((*frame)->more);
    CHECK_FALSE((*frame)->control);
    stream.erase(0, (*frame)->bytes_total);
  }
}

}  // namespace

TEST_CASE("host.framing cuts frames whatever pieces they arrive in") {
  const std::vector<std::string> expected = {"abc", "", kLong};
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.name);
    const Framing framing = limited(layout.name);
    const std::string stream = layout.stream();
    for (std::size_t split = 0; split <= stream.size(); ++split) {
      std::vector<std::string> bodies;
      std::string pending = stream.substr(0, split);
      cut(framing, pending, bodies);
      pending += stream.substr(split);
      cut(framing, pending, bodies);
      CHECK(bodies == expected);
      CHECK(pending.empty());
    }
    std::vector<std::string> bodies;
    std::string pending;
    for (const char c : stream) {
      pending += c;
      cut(framing, pending, bodies);
    }
    CHECK(bodies == expected);
  }
}

TEST_CASE("host.framing writes the frames that it reads, under every name") {
  std::vector<std::string> tested;
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.name);
    tested.push_back(layout.name);
    std::string written;
    for (const std::string& body : {"abc"s, ""s, kLong}) append_frame(limited(layout.name), body, written);
    CHECK(written == layout.stream());
  }
  CHECK(tested == framing_names());
  CHECK_FALSE(framing_named("length17").has_value());
}

TEST_CASE("host.framing refuses what it cannot trust as soon as the header is there") {
  struct Hostile {
    std::string name;
    std::string header;
  };
  const std::vector<Hostile> hostile = {
      {"length16", "\x00\x65"s},
      {"length16", "\xff\xff"s},
      {"length16_inclusive", "\x00\x67"s},
      {"length16_inclusive", "\x00\x01"s},
      {"length16_inclusive", "\x00\x00"s},
      {"length16_le", "\x65\x00"s},
      {"length24", "\xff\xff\xff"s},
      {"length32", "\xff\xff\xff\xff"s},
      {"length32_inclusive", "\x00\x00\x00\x03"s},
      {"ascii4", "0101"s},
      {"ascii4", "00x1"s},
      {"ascii4", " 100"s},
      {"ascii4_inclusive", "0003"s},
      {"hex4", "0065"s},
      {"hex4", "00G0"s},
      {"bcd4", "\x01\x01"s},
      {"bcd4", "\x00\x0a"s},
      {"bcd4", "\x00\xa0"s},
      {"cs", "\x00\x03\x00\x01"s},
      {"cs", "\x00\x65\x00\x00"s},
      {"vml", "\x00\x03\x10\x00"s},
      {"gicc", "\x00\x01\x00\x03"s},
      {"rbp", "\xd0\x4b\x00\x03\x00\x00"s},
      {"rbp", "\xd0\x4a\x00\x03\x02\x00"s},
      {"base24_tcp", "\x00\x66"s},
      {"stx_etx", "\x03"},
      {"base24", std::string(101, 'x')},
      {"crlf", std::string(102, 'x')},
  };
  for (const auto& [name, header] : hostile) {
    CAPTURE(name);
    CAPTURE(header);
    const Framing framing = limited(name);
    CHECK(first_frame(framing, std::string_view(header).substr(0, header.size() - 1)).has_value());
    CHECK_FALSE(first_frame(framing, header).has_value());
  }
  const std::string longest = "\x00\x64"s + std::string(100, 'x');
  CHECK(first_frame(limited("length16"), longest).value()->body.size() == 100);
  CHECK(first_frame(limited("crlf"), std::string(100, 'x') + "\r\n").value()->body.size() == 100);
  CHECK_FALSE(first_frame(limited("base24_tcp"),
                          "\x00\x03"s
                          "abc")
                  .has_value());  // no ETX at the end
}

TEST_CASE("host.framing tells session control and the parts of a message from messages") {
  const auto control = first_frame(limited("vml"),
                                   "\x00\x03\x07\x2f"s
                                   "abc")
                           .value();
  REQUIRE(control.has_value());
  CHECK(control->control);
  CHECK(control->bytes_total == 7);
  CHECK_FALSE(first_frame(limited("cs"),
                          "\x00\x03\x07\x2f"s
                          "abc")
                  .has_value());

  const auto bytes =
      "\xd0\x4a\x00\x03\x01\x00"s
      "abc";
  const auto part = first_frame(limited("rbp"), bytes).value();
  REQUIRE(part.has_value());
  CHECK(part->more);
  CHECK(part->body == "abc");
  std::string written;
  append_frame(limited("rbp"), "abc", written, true);
  CHECK(written ==
        "\xd0\x4a\x00\x03\x01\x00"s
        "abc");
}

TEST_CASE("host.framing knows the longest length of each header, and how to exceed it") {
  const std::vector<std::pair<std::string, std::size_t>> longest = {{"length16", 65535},
                                                                    {"length16_inclusive", 65533},
                                                                    {"length24", 16777215},
                                                                    {"length32", 4294967295},
                                                                    {"length32_inclusive", 4294967291},
                                                                    {"ascii4", 9999},
                                                                    {"ascii4_inclusive", 9995},
                                                                    {"hex4", 65535},
                                                                    {"bcd4", 9999},
                                                                    {"base24_tcp", 65534},
                                                                    {"crlf", 100}};
  for (const auto& [name, length] : longest) {
    CAPTURE(name);
    CHECK(length_max(limited(name)) == length);
  }
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.name);
    std::string oversize;
    append_oversize(limited(layout.name), oversize);
    CHECK_FALSE(first_frame(limited(layout.name), oversize).has_value());
  }
}
