#include "tests/host/framing.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace tlsmux::host;
using namespace std::string_literals;

namespace {

struct Layout {
  const char* name;
  Framing framing;
  std::string stream;  // the bodies "abc", "" and 10 times "z", framed by hand
};

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {
      {"length16",
       {FramingKind::length16, false, 100},
       "\x00\x03"
       "abc"
       "\x00\x00"
       "\x00\x0a"
       "zzzzzzzzzz"s},
      {"length16 self",
       {FramingKind::length16, true, 100},
       "\x00\x05"
       "abc"
       "\x00\x02"
       "\x00\x0c"
       "zzzzzzzzzz"s},
      {"length32",
       {FramingKind::length32, false, 100},
       "\x00\x00\x00\x03"
       "abc"
       "\x00\x00\x00\x00"
       "\x00\x00\x00\x0a"
       "zzzzzzzzzz"s},
      {"length32 self",
       {FramingKind::length32, true, 100},
       "\x00\x00\x00\x07"
       "abc"
       "\x00\x00\x00\x04"
       "\x00\x00\x00\x0e"
       "zzzzzzzzzz"s},
      {"ascii4",
       {FramingKind::ascii4, false, 100},
       "0003abc"
       "0000"
       "0010zzzzzzzzzz"s},
      {"ascii4 self",
       {FramingKind::ascii4, true, 100},
       "0007abc"
       "0004"
       "0014zzzzzzzzzz"s},
  };
  return all;
}

// Cuts what is there of `stream` into `bodies` and drops it, as a connection does when a piece arrives.
void cut(const Framing& framing, std::string& stream, std::vector<std::string>& bodies) {
  while (true) {
    const auto frame = first_frame(framing, stream);
    REQUIRE(frame.has_value());
    if (!*frame) return;
    bodies.emplace_back((*frame)->body);
    stream.erase(0, (*frame)->bytes_total);
  }
}

}  // namespace

TEST_CASE("host.framing cuts frames whatever pieces they arrive in") {
  const std::vector<std::string> expected = {"abc", "", "zzzzzzzzzz"};
  for (const auto& layout : layouts()) {
    CAPTURE(layout.name);
    for (std::size_t split = 0; split <= layout.stream.size(); ++split) {
      std::vector<std::string> bodies;
      std::string pending = layout.stream.substr(0, split);
      cut(layout.framing, pending, bodies);
      pending += layout.stream.substr(split);
      cut(layout.framing, pending, bodies);
      CHECK(bodies == expected);
      CHECK(pending.empty());
    }
    std::vector<std::string> bodies;
    std::string pending;
    for (const char c : layout.stream) {
      pending += c;
      cut(layout.framing, pending, bodies);
    }
    CHECK(bodies == expected);
  }
}

TEST_CASE("host.framing writes the headers that it reads") {
  for (const auto& layout : layouts()) {
    CAPTURE(layout.name);
    std::string stream;
    for (const std::string& body : {"abc"s, ""s, "zzzzzzzzzz"s}) {
      append_header(layout.framing, body.size(), stream);
      stream += body;
    }
    CHECK(stream == layout.stream);
  }
}

TEST_CASE("host.framing refuses what it cannot trust as soon as the header is there") {
  struct Hostile {
    Framing framing;
    std::string header;
  };
  const std::vector<Hostile> hostile = {
      {{FramingKind::length16, false, 100}, "\x00\x65"s},
      {{FramingKind::length16, false, 100}, "\xff\xff"s},
      {{FramingKind::length16, true, 100}, "\x00\x67"s},
      {{FramingKind::length16, true, 100}, "\x00\x01"s},
      {{FramingKind::length16, true, 100}, "\x00\x00"s},
      {{FramingKind::length32, false, 100}, "\xff\xff\xff\xff"s},
      {{FramingKind::length32, true, 100}, "\x00\x00\x00\x03"s},
      {{FramingKind::ascii4, false, 100}, "0101"s},
      {{FramingKind::ascii4, false, 100}, "00x1"s},
      {{FramingKind::ascii4, false, 100}, " 100"s},
      {{FramingKind::ascii4, true, 100}, "0003"s},
  };
  for (const auto& [framing, header] : hostile) {
    CAPTURE(header);
    CHECK(first_frame(framing, header.substr(0, header.size() - 1)).has_value());
    CHECK_FALSE(first_frame(framing, header).has_value());
  }
  const std::string longest = "\x00\x64"s + std::string(100, 'x');
  CHECK(first_frame({FramingKind::length16, false, 100}, longest).value()->body.size() == 100);
}

TEST_CASE("host.framing knows the longest length of each header") {
  CHECK(length_max({FramingKind::length16, false, 1}) == 65535);
  CHECK(length_max({FramingKind::length16, true, 1}) == 65533);
  CHECK(length_max({FramingKind::length32, false, 1}) == 4294967295);
  CHECK(length_max({FramingKind::length32, true, 1}) == 4294967291);
  CHECK(length_max({FramingKind::ascii4, false, 1}) == 9999);
  CHECK(length_max({FramingKind::ascii4, true, 1}) == 9995);
}
