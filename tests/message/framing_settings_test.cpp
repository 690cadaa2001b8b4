// What the configuration's checks say of a framing.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/check/check_framing.hpp"
#include "engine/message/framing.hpp"

using namespace tlsmux;
using config::FramingKind;
using config::FramingSettings;
using config::LengthEncoding;

namespace {

std::vector<std::string> complaints_of(const FramingSettings& framing) {
  config::Findings findings({});
  config::check_framing(framing, "/framing", findings);
  std::vector<std::string> complaints;
  for (const auto& finding : std::move(findings).take()) complaints.push_back(finding.pointer + ": " + finding.message);
  return complaints;
}

struct Bad {
  FramingSettings framing;
  std::string_view complaint;
};

FramingSettings delimited(FramingSettings framing) {
  framing.kind = FramingKind::delimiter;
  return framing;
}

}  // namespace

TEST_CASE("framing.settings that contradict each other are refused, and each says why") {
  const Bad bads[] = {
      {{.length_bytes = 1},
       "/framing/message_bytes_max: is 4096, but a length of 1 bytes (binary_be) reaches to 255 only; lower it, or "
       "give "
       "a longer length"},
      {{.length_encoding = LengthEncoding::bcd, .length_bytes = 1, .message_bytes_max = 100},
       "/framing/message_bytes_max: is 100, but a length of 1 bytes (bcd) reaches to 99 only; lower it, or give a "
       "longer length"},
      {{.length_encoding = LengthEncoding::hex, .length_bytes = 2, .trailer = {3}, .message_bytes_max = 255},
       "/framing/message_bytes_max: is 255, but a length of 2 bytes (hex) reaches to 254 only; lower it, or give a "
       "longer length"},
      {{.length_adjust = -1},
       "/framing/length_adjust: is -1, so that the length of a short message would be negative; it may take off what "
       "header, trailer and the length itself count, no more"},
      {{.start = {2}},
       "/framing/start: means nothing where kind is \"length\"; remove it, or set kind to \"delimiter\""},
      {{.delimiter = {3}},
       "/framing/delimiter: means nothing where kind is \"length\"; remove it, or set kind to \"delimiter\""},
      {{.after_length = {0, 0}, .more_after_length = {1}},
       "/framing/more_after_length: must be as long as after_length, 2 bytes, is 1"},
      {{.after_length = {0, 0}, .more_after_length = {0, 0}},
       "/framing/more_after_length: is the same as after_length, so that no message would end"},
      {{.control_mask = {0xf0}, .control_value = {0x20}},
       "/framing/control_mask: must be as long as after_length, 0 bytes, is 1"},
      {{.after_length = {0}, .control_mask = {0xf0}},
       "/framing/control_value: must be as long as control_mask, 1 bytes, is 0"},
      {{.after_length = {0}, .control_mask = {0x00}, .control_value = {0x00}},
       "/framing/control_mask: is all zero, so that every frame would be session control"},
      {{.after_length = {0}, .control_mask = {0xf0}, .control_value = {0x21}},
       "/framing/control_value: has bits that control_mask has not, so that no frame would have it"},
      {{.after_length = {0}, .control_mask = {0xf0}, .control_value = {0x00}},
       "/framing/control_value: fits after_length, so that every message would be session control"},
      {{.header = {0x60, 0, 1}, .header_swaps_addresses = true},
       "/framing/header_swaps_addresses: needs a header that begins with a TPDU of 5 bytes: id, destination, source; "
       "the header has 3"},
      {delimited({}), "/framing/delimiter: is missing: where kind is \"delimiter\", it tells where a message ends"},
      {delimited({.length_includes_itself = true, .delimiter = {3}}),
       "/framing/length_includes_itself: means nothing where kind is \"delimiter\"; remove it, or set kind to "
       "\"length\""},
      {delimited({.after_length = {0}, .delimiter = {3}}),
       "/framing/after_length: means nothing where kind is \"delimiter\"; remove it, or set kind to \"length\""},
      {delimited({.header = {0x60, 0, 3, 0, 1}, .delimiter = {3}}),
       "/framing/header: holds the delimiter, so that every message would end there"},
      {delimited({.trailer = {3}, .delimiter = {3}}), "/framing/trailer: would be taken for the delimiter"},
      {delimited({.trailer = {'\r'}, .delimiter = {'\r', '\r'}}), "/framing/trailer: would be taken for the delimiter"},
  };
  for (const auto& [framing, complaint] : bads) {
    CAPTURE(complaint);
    const auto complaints = complaints_of(framing);
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0] == complaint);
  }
}

TEST_CASE("framing.what the checks let pass, the engine can build") {
  const FramingSettings goods[] = {
      {.length_bytes = 1, .message_bytes_max = 255},
      {.length_bytes = 8},
      {.length_adjust = -5, .header = {0x60, 0, 1, 0, 2}},
      {.length_includes_itself = true, .length_adjust = -2, .message_bytes_max = 65'535},
      {.length_adjust = 1024, .message_bytes_max = 64'511},
      {.after_length = {0}, .more_after_length = {1}, .control_mask = {0xf0}, .control_value = {0x20}},
      delimited({.trailer = {'\r'}, .start = {'\n'}, .delimiter = {'\n'}}),
  };
  for (const auto& framing : goods) {
    CHECK(complaints_of(framing) == std::vector<std::string>{});
    CHECK(engine::message::Framing(framing).message_bytes_max() == framing.message_bytes_max);
  }
}

TEST_CASE("framing.private copies of delimited messages have a limit") {
  const auto complaints = [](std::uint32_t in_flight_max, const FramingSettings& framing) {
    config::Findings findings({});
    config::EngineSettings engine;
    engine.in_flight_max = in_flight_max;
    config::check_private_copies(engine, framing, "/framing", findings);
    return std::move(findings).take();
  };
  const auto big = delimited({.delimiter = {3}, .message_bytes_max = 1 << 20});
  CHECK(complaints(1024, big).empty());
  CHECK(complaints(16'384, {.message_bytes_max = 1 << 20}).empty());
  const auto too_many = complaints(1025, big);
  REQUIRE(too_many.size() == 1);
  CHECK(too_many[0].pointer == "/framing/message_bytes_max");
  CHECK(too_many[0].message ==
        "is 1048576, but messages that end with a delimiter are copied to be searched for it, which could take "
        "1074790400 bytes; the most is 1073741824; lower it, or /engine/in_flight_max");
}
