// The boundary of protocols whose framing cuts messages.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/framing_presets.hpp"
#include "tests/message/boundary_script.hpp"

using namespace tlsmux;
using namespace std::string_literals;
using engine::message::Framing;
using test::BoundaryState;
using test::pass;
using test::Script;
using test::state_of;

namespace {

constexpr BoundaryState kClean{.is_clean = true, .is_owed = false, .idle_max_s = {}};
constexpr BoundaryState kOwed{.is_clean = false, .is_owed = true, .idle_max_s = {}};
constexpr BoundaryState kNeverAsked{.is_clean = false, .is_owed = false, .idle_max_s = {}};

config::FramingSettings preset(std::string_view name) {
  return std::ranges::find(config::framing_presets(), name, &config::FramingPreset::name)->settings;
}

struct Row {
  std::string_view preset;
  Script script;
  BoundaryState expected;
};

const std::vector<Row> kRows = {
    {"length16", {}, kClean},
    {"length16", {"> \0\1q"s, "< \0\1a"s}, kClean},
    {"length16", {"> \0\1q\0\1r"s, "< \0\1a"s, "< \0\1b"s}, kClean},
    {"length16", {"> \0\1q"s}, kOwed},
    {"length16", {"> \0\1q\0\1r"s, "< \0\1a"s}, kOwed},
    {"length16", {"> \0"s}, kOwed},
    {"length16", {"> \0\1q\0"s, "< \0\1a"s}, kOwed},
    {"length16", {"> \0\1q"s, "< \0\1"s}, kOwed},
    {"length16", {"> \0\1q"s, "< \0\1a\0"s}, kOwed},
    {"crlf", {"> q\r\n", "< a\r\n"}, kClean},
    {"crlf", {"> q\r\n", "< a\r"}, kOwed},
    {"crlf", {"> q\r\nr", "< a\r\n"}, kOwed},
    // Keep-alives and session control are neither questions nor answers.
    {"length16", {"> \0\0"s, "< \0\0\0\0"s}, kClean},
    {"length16", {"> \0\0\0\1q"s, "< \0\0"s}, kOwed},
    {"length16", {"> \0\1q"s, "< \0\0\0\1a"s}, kClean},
    {"vml", {"< \0\2\0\x20zz"s}, kClean},
    {"vml", {"> \0\1\0\0q"s, "< \0\2\0\x20zz"s}, kOwed},
    // The parts of a message are one.
    {"rbp", {"> \xd0\x4a\0\1\1\0q\xd0\x4a\0\1\0\0r"s, "< \xd0\x4a\0\1\0\0a"s}, kClean},
    {"rbp", {"> \xd0\x4a\0\1\1\0q"s}, kOwed},
};

// Nothing that follows makes these anybody else's.
const std::vector<Row> kLost = {
    {"length16", {"< \0\1a"s}, kNeverAsked},
    {"length16", {"> \0\1q"s, "< \0\1a\0\1b"s}, kOwed},
    {"length16", {"> \0"s, "< \0\1a"s}, kOwed},
    {"length16", {"> \xff\xff\xff"s}, kOwed},
    {"length16", {"> \0\1q"s, "< \xff\xff\xff"s}, kOwed},
    {"rbp", {"> \xd0\x4b\0\1\0\0q"s}, kOwed},
};

void check(const Row& row, bool is_lost) {
  const auto settings = preset(row.preset);
  const Framing framing(settings);
  for (std::size_t step = 0; step < std::max<std::size_t>(1, row.script.size()); ++step) {
    const std::size_t cuts = row.script.empty() ? 1 : row.script[step].size() - 1;
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      CAPTURE(step);
      CAPTURE(cut);
      const auto boundary = engine::message::make_boundary(settings, framing);
      REQUIRE(boundary != nullptr);
      for (std::size_t i = 0; i < row.script.size(); ++i) {
        const std::string_view text = std::string_view(row.script[i]).substr(2);
        const std::size_t at = i == step ? cut : text.size();
        pass(*boundary, row.script[i][0] == '>', text.substr(0, at));
        pass(*boundary, row.script[i][0] == '>', text.substr(at));
      }
      REQUIRE(state_of(*boundary) == row.expected);
      if (!is_lost) continue;
      pass(*boundary, Script{"> \0\1q"s, "< \0\1a"s, "> \0\1q"s, "< \0\1a"s});
      REQUIRE(!boundary->is_clean());
    }
  }
}

}  // namespace

TEST_CASE("stream.a connection of messages is clean between frames, when there are as many answers as questions") {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    CAPTURE(i);
    check(kRows[i], false);
  }
}

TEST_CASE("stream.a connection of messages that is not understood is never clean again") {
  for (std::size_t i = 0; i < kLost.size(); ++i) {
    CAPTURE(i);
    check(kLost[i], true);
  }
}

TEST_CASE("stream.without framing no boundary is known") {
  const auto settings = preset("none");
  const Framing framing(settings);
  CHECK(!framing.cuts_messages());
  CHECK(engine::message::make_boundary(settings, framing) == nullptr);
}
