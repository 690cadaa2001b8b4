#include "tests/host/envelope.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace tlsmux::host;
using namespace std::string_literals;

TEST_CASE("host.envelope takes a TPDU off and exchanges its addresses") {
  const std::string tpdu = "\x60\x00\x10\x00\x02"s;
  const EnvelopeOptions options = {.tpdu = tpdu};
  const std::string body = tpdu + "0800...";
  const auto envelope = open_envelope(options, body);
  REQUIRE(envelope.has_value());
  CHECK(envelope->tpdu == tpdu);
  CHECK(envelope->message == "0800...");
  CHECK(envelope->application_bytes() == "0800...");
  CHECK(swapped_tpdu(tpdu) == "\x60\x00\x02\x00\x10"s);
  CHECK(swapped_tpdu("").empty());
  CHECK_FALSE(open_envelope(options, "\x60\x00\x10\x00"s).has_value());
  CHECK(open_envelope({}, "0800")->message == "0800");
}

TEST_CASE("host.envelope reads one or two BASE I headers and exchanges their stations") {
  const EnvelopeOptions options = {.base1 = true};
  const std::string header = base1_header(3);
  REQUIRE(header.size() == 22);
  CHECK(header.substr(0, 11) == "\x16\x01\x02\x00\x19\x11\x22\x33\x44\x55\x66"s);
  const std::string body = header + "abc";
  const auto one = open_envelope(options, body);
  REQUIRE(one.has_value());
  CHECK(one->header == header);
  CHECK(one->message == "abc");
  CHECK(one->application_bytes() == body);
  CHECK(swapped_base1(header).substr(5, 6) == "\x44\x55\x66\x11\x22\x33");
  CHECK(swapped_base1(swapped_base1(header)) == header);

  std::string first = header;
  first[1] = '\x81';  // another header follows
  const std::string both = first + header + "abc";
  const auto two = open_envelope(options, both);
  REQUIRE(two.has_value());
  CHECK(two->header.size() == 44);
  CHECK(two->message == "abc");
  CHECK(swapped_base1(two->header).substr(27, 6) == "\x44\x55\x66\x11\x22\x33");

  CHECK_FALSE(open_envelope(options, "").has_value());
  CHECK_FALSE(open_envelope(options, header.substr(0, 21)).has_value());
  CHECK_FALSE(open_envelope(options, first).has_value());
  CHECK_FALSE(open_envelope(options, std::string(30, '\0')).has_value());
}
